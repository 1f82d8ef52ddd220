"""The transform graph of a preprocessing function, by TFT's analysis of examples that are read in large batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public import tfxio

from components.ingestion.example_reading import fixed_lengths, read_fixed_lengths


def write_graph(
    pipeline: beam.Pipeline,
    files: list[str],
    schema: schema_pb2.Schema,
    preprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]],
    folder: str,
    temporary: str,
) -> None:
    """Analyze examples, and write the transform graph and the examples' schema.

    Parameters
    ----------
    pipeline
        What the work is added to.
    files
        Shards of examples.
    schema
        The curated schema.
    preprocessing_fn
        TFT's function. Features that it doesn't analyze are not read.
    folder
        Where the graph is written.
    temporary
        A folder for what TFT writes in between.
    """
    # A TFXIO knows how Arrow's columns become tensors; the files are read without it.
    whole = tfxio.TFExampleRecord(files, schema=schema)
    needed = tft.get_analyze_input_columns(preprocessing_fn, whole.TensorAdapter().OriginalTypeSpecs())
    projected = whole.Project(needed)
    with tft_beam.Context(temp_dir=temporary):
        batches = (
            pipeline
            | "Files" >> beam.Create(files)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(read_fixed_lengths, fixed_lengths(schema, needed), only=True)
            | "InOrder" >> beam.Map(_select, projected.ArrowSchema().names)
        )
        transform_fn = (batches, projected.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(preprocessing_fn)
        _ = transform_fn | "WriteGraph" >> tft_beam.WriteTransformFn(folder)
        _ = tft.DatasetMetadata(schema) | "WriteMetadata" >> tft_beam.WriteMetadata(
            f"{folder}/{tft.TFTransformOutput.RAW_METADATA_DIR}", pipeline
        )


def _select(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    """Return a batch's columns in an order."""
    return pa.RecordBatch.from_arrays([batch.column(name) for name in names], names=names)
