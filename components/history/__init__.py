"""What earlier runs left, and whether it may be compared with."""
