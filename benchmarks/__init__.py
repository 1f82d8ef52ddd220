"""Measurements of quality and speed that anyone can rerun; nothing of the pipeline imports them."""
