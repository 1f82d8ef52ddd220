"""Pipeline components that TFX lacks, and the metrics that judge a retrieval model."""
