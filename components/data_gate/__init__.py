"""What stops a run before training."""
