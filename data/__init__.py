"""From a MovieLens release to sharded `tf.Example` windows: everything before the pipeline starts."""
