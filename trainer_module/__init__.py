"""The two-tower next-movie model: its vocabulary, its towers, its training and its signatures."""
