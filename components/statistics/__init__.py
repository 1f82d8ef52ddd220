"""Statistics of the examples, with and without padding."""
