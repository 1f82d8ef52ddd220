"""The model beside simple baselines, the tutorial's model and peers, and what of it makes the difference."""
