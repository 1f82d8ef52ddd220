"""The pipeline: its settings, its graph, and what is said of a run."""
