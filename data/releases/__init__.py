"""A MovieLens release: where it comes from, how it is read, and its catalogue of movies."""
