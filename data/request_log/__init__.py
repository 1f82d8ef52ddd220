"""The log of served requests: its format, its files, and what it says beside the examples that a model learns from."""
