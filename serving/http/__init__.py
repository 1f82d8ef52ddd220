"""The server of published models: TensorFlow Serving's REST paths, an API with titles, and a page for people."""
