"""Retrieval metrics, and what the gate makes of them."""
