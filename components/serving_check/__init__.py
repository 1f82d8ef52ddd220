"""Whether a model can be served."""
