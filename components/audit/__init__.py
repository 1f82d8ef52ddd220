"""What data, split and a model's answers are like, and what of it is out of bounds."""
