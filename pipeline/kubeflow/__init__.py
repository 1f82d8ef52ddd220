"""The pipeline on Kubeflow Pipelines: compiling, submitting, and what runs in its containers."""
