"""How examples come into the pipeline and are read there."""
