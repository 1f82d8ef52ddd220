"""Reading example files in large Arrow record batches, a file at a time: Beam's own source hands over record by record.

Examples that match the schema are parsed by `tf.io.parse_example`, which takes half as long as TFX's decoder. Others
are decoded: the decoder takes any example, so that statistics and validation see what is there.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import tensorflow as tf
from google.protobuf import descriptor_pb2, text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public import tfxio

BATCH = 65_536
"""Examples in a record batch. What reads them costs by the batch: TFDV and TFT hand on each distinct value of one."""

_COUNTED = """
file {
  name: "counted.proto"
  message_type {
    name: "Example"
    field { name: "features" number: 1 label: LABEL_REPEATED type: TYPE_BYTES }
  }
  message_type {
    name: "Features"
    field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_BYTES }
  }
}
"""
"""`tf.train.Example` as it lies in a file, only as deep as it takes to count features.

`features` is no list there, but a message may come in several parts, which are read as one.
"""

_DESCRIPTORS = b"bytes://" + text_format.Parse(_COUNTED, descriptor_pb2.FileDescriptorSet()).SerializeToString()

_TYPES = {schema_pb2.INT: tf.int64, schema_pb2.FLOAT: tf.float32, schema_pb2.BYTES: tf.string}

FeatureSpec = dict[str, tf.io.FixedLenFeature]


def fixed_lengths(schema: schema_pb2.Schema, names: Collection[str] | None = None) -> FeatureSpec | None:
    """Return how to parse examples that are as a schema says.

    Parameters
    ----------
    schema
        The schema.
    names
        The features to parse; by default all.

    Returns
    -------
    dict or None
        None if one of the features need not be there, or is no list of a fixed length.
    """
    wanted = [feature for feature in schema.feature if names is None or feature.name in names]
    if not all(_is_fixed(feature) for feature in wanted):
        return None
    return {
        feature.name: tf.io.FixedLenFeature([feature.shape.dim[0].size], _TYPES[feature.type]) for feature in wanted
    }


def read_batches(file: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a gzipped TFRecord file of any examples, decoded."""
    options = tfxio.RecordBatchesOptions(batch_size=BATCH, drop_final_batch=False, num_epochs=1, shuffle=False)
    # It takes patterns, and a file's path may hold their signs.
    pattern = re.sub(r"([\[\]*?\\])", r"\\\1", file)
    yield from tfxio.TFExampleRecord(file_pattern=pattern).RecordBatches(options)


def read_fixed_lengths(file: str, spec: FeatureSpec | None, *, only: bool = False) -> Iterator[pa.RecordBatch]:
    """Read a gzipped TFRecord file, the quick way as far as its examples allow.

    Parameters
    ----------
    file
        The file.
    spec
        From `fixed_lengths`. None has the file decoded.
    only
        Leave out features that the specification doesn't name. Otherwise a file is decoded from the batch on in which
        an example has any.

    Yields
    ------
    pa.RecordBatch
        The same whichever way: a list array for each feature, in no order that means anything.
    """
    if spec is None:
        yield from read_batches(file)
        return
    done = 0
    try:
        for parsed in _parse(file, spec, only=only):
            yield _as_record_batch(parsed)
            done += 1
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError, UnicodeDecodeError):
        # An example is not as the schema says, or none at all. Messages quote its bytes, which need not be text.
        yield from itertools.islice(read_batches(file), done, None)


def _is_fixed(feature: schema_pb2.Feature) -> bool:
    return feature.type in _TYPES and len(feature.shape.dim) == 1 and feature.presence.min_fraction == 1


def _parse(file: str, spec: FeatureSpec, *, only: bool) -> Iterator[dict[str, tf.Tensor]]:
    def parse(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        if not only:
            # Each feature has to be there, so that one more is one that the specification doesn't name.
            tf.debugging.assert_equal(_count_features(examples), len(spec))
        return tf.io.parse_example(examples, spec)

    yield from (
        tf.data.TFRecordDataset(file, compression_type="GZIP")
        .batch(BATCH)
        .map(parse)
        # The next batch is read while this one is worked on.
        .prefetch(1)
    )


def _count_features(examples: tf.Tensor) -> tf.Tensor:
    """Return how many features each serialized example has, int32 `[num_examples]`; one that stands twice counts twice.

    `tf.io.parse_example` passes over features that it isn't asked for.
    """
    _, (parts,) = tf.io.decode_proto(examples, "Example", ["features"], [tf.string], descriptor_source=_DESCRIPTORS)
    counts, _ = tf.io.decode_proto(parts, "Features", ["feature"], [tf.string], descriptor_source=_DESCRIPTORS)
    return tf.reduce_sum(counts, axis=[1, 2])


def _as_record_batch(tensors: dict[str, tf.Tensor]) -> pa.RecordBatch:
    """Return tensors `[num_examples, length]` as Arrow's lists."""
    columns = {name: _as_lists(tensor.numpy()) for name, tensor in tensors.items()}
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _as_lists(values: np.ndarray) -> pa.Array:
    rows, length = values.shape
    offsets = np.arange(rows + 1) * length
    kind = pa.large_binary() if values.dtype == object else None
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values.reshape(-1), kind))
