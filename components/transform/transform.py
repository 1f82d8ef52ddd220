"""Transform over large batches: TFT's own analysis, fed with no more than the features that it needs.

Stock Transform reads record by record, decodes every feature, and has no say in the size of a batch. What this one
writes is the same.
"""

import importlib

import apache_beam as beam
import tensorflow_data_validation as tfdv
from tfx import v1 as tfx

from components.transform.graph import write_graph
from serving.artifact_files import example_files

ANALYZED_SPLIT = "train"


@tfx.dsl.components.component(use_beam=True)
def ShardTransform(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[list[tfx.types.standard_artifacts.Examples]],
    schema: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Schema],
    transform_graph: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.TransformGraph],
    preprocessing_fn: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
    beam_pipeline: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Analyze the train splits, and write the transform graph. No transformed examples are written.

    `preprocessing_fn` is the function's dotted path. `code_digest` only tells TFX's cache when code changes.
    """
    module, _, name = preprocessing_fn.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    curated = tfdv.load_schema_text(f"{schema.uri}/schema.pbtxt")
    files = [file for span in examples for file in example_files(span.uri, ANALYZED_SPLIT)]
    temporary = f"{transform_graph.uri}/.temporary"
    with beam_pipeline as pipeline:
        write_graph(pipeline, files, curated, function, transform_graph.uri, temporary)
    tfx.dsl.io.fileio.rmtree(temporary)
