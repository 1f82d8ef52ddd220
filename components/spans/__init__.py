"""Steps of a pipeline that learns from spans of data, one after the other."""
