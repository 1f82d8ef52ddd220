"""Examples that were tampered with, and TFDV's statistics of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx_bsl.public import tfxio

Features = dict[str, tf.train.Feature]


def read_records(files: Iterable[Path]) -> list[bytes]:
    """Return the serialized examples of gzipped shards."""
    paths = [str(path) for path in files]
    return list(tf.data.TFRecordDataset(paths, compression_type="GZIP").as_numpy_iterator())


def tampered(records: list[bytes], change: Callable[[Features], None], every: int = 1) -> list[bytes]:
    """Change one record in so many."""
    changed = []
    for number, record in enumerate(records):
        example = tf.train.Example.FromString(record)
        if number % every == 0:
            change(example.features.feature)
        changed.append(example.SerializeToString())
    return changed


def count_statistics(
    records: list[bytes], schema: schema_pb2.Schema, folder: Path
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Count records, which are written into the folder."""
    shard = folder / "records"
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(record)
    options = tfxio.RecordBatchesOptions(len(records), drop_final_batch=False, num_epochs=1, shuffle=False)
    (batch,) = tfxio.TFExampleRecord(file_pattern=str(shard)).RecordBatches(options)
    # TFDV's way without Beam, which would take seconds each time; it has no public name.
    return stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema))
