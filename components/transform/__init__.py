"""The vocabulary, from the examples."""
