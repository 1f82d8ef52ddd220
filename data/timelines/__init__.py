"""From ratings to each user's movies in the order of time, and from those to windows."""
