"""Transform over large batches: TFT's own analysis, fed with no more than the features that it needs.

Stock Transform reads record by record, decodes every feature, and has no say in the size of a batch. What this one
writes is the same.
"""

import importlib

import apache_beam as beam
import pyarrow as pa
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx import v1 as tfx
from tfx_bsl.public import tfxio

from components.ingestion.example_reading import fixed_lengths, read_fixed_lengths
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
    # A TFXIO knows how Arrow's columns become tensors; the files are read without it.
    whole = tfxio.TFExampleRecord(files, schema=curated)
    needed = tft.get_analyze_input_columns(function, whole.TensorAdapter().OriginalTypeSpecs())
    projected = whole.Project(needed)
    temporary = f"{transform_graph.uri}/.temporary"
    with beam_pipeline as pipeline, tft_beam.Context(temp_dir=temporary):
        batches = (
            pipeline
            | "Files" >> beam.Create(files)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(read_fixed_lengths, fixed_lengths(curated, needed), only=True)
            | "InOrder" >> beam.Map(_select, projected.ArrowSchema().names)
        )
        transform_fn = (batches, projected.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(function)
        _ = transform_fn | "WriteGraph" >> tft_beam.WriteTransformFn(transform_graph.uri)
        _ = tft.DatasetMetadata(curated) | "WriteMetadata" >> tft_beam.WriteMetadata(
            f"{transform_graph.uri}/{tft.TFTransformOutput.RAW_METADATA_DIR}", pipeline
        )
    tfx.dsl.io.fileio.rmtree(temporary)


def _select(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    """Return a batch's columns in an order."""
    return pa.RecordBatch.from_arrays([batch.column(name) for name in names], names=names)
