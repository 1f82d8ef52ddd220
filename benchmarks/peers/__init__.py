"""Other libraries' models on the same windows, each library in an environment of its own."""
