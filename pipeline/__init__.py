"""The pipeline: its settings, its graph, and the record of a run."""
