"""Counts of every single value of examples, and the counts in TFDV's format.

All features are names, small numbers on a grid or years: counted one by one they give exact histograms, means and
medians, while TFDV's buckets of numbers are approximate. TFDV can count numbers too if they are declared categories,
at ten times the cost and with sketches where they are such as 4.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import statistics_pb2

_TOP_VALUES = 50

Value = bytes | int | float
FeatureType = int
"""A value of `statistics_pb2.FeatureNameStatistics.Type`: protobuf's enumerations are no types, and hold integers."""


@dataclass
class FeatureCounts:
    """What some examples hold of one feature.

    Attributes
    ----------
    kind
        TFDV's type of its values, None while no example has any.
    present
        Examples that have the feature.
    times
        How often each value occurs.
    """

    kind: FeatureType | None = None
    present: int = 0
    times: Counter[Value] = field(default_factory=Counter)


@dataclass
class ValueCounts:
    """What some examples hold."""

    examples: int = 0
    features: dict[str, FeatureCounts] = field(default_factory=dict)


def count_values(batch: pa.RecordBatch) -> ValueCounts:
    """Return the counts of the values of examples.

    Parameters
    ----------
    batch
        A list array for each feature.
    """
    return ValueCounts(batch.num_rows, {name: _count(batch.column(name)) for name in batch.schema.names})


def add_counts(parts: Iterable[ValueCounts]) -> ValueCounts:
    """Return the sum of counts of different examples."""
    total = ValueCounts()
    for part in parts:
        total.examples += part.examples
        for name, counts in part.features.items():
            sums = total.features.setdefault(name, FeatureCounts())
            sums.kind = counts.kind if sums.kind is None else sums.kind
            sums.present += counts.present
            sums.times.update(counts.times)
    return total


def as_statistics(counts: ValueCounts) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Return counts as TFDV's statistics of categories, though with every value in the rank histogram."""
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = statistics.datasets.add(num_examples=counts.examples)
    for name, feature in sorted(counts.features.items()):
        entry = dataset.features.add(type=feature.kind)
        entry.path.step.append(name)
        strings = entry.string_stats
        strings.common_stats.num_non_missing = feature.present
        strings.common_stats.tot_num_values = feature.times.total()
        strings.unique = len(feature.times)
        spelt = [(_spell(value), times) for value, times in feature.times.items()]
        for rank, (label, times) in enumerate(sorted(spelt, key=lambda pair: (-pair[1], pair[0]))):
            strings.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=label, sample_count=times)
            if rank < _TOP_VALUES:
                strings.top_values.add(value=label, frequency=times)
    return statistics


def _count(column: pa.Array) -> FeatureCounts:
    present = len(column) - column.null_count
    if not present:
        return FeatureCounts()
    counted = pc.value_counts(column.flatten())
    values, times = (counted.field(name).to_pylist() for name in ("values", "counts"))
    return FeatureCounts(_kind(column.type.value_type), present, Counter(dict(zip(values, times, strict=True))))


def _kind(values: pa.DataType) -> FeatureType:
    if pa.types.is_integer(values):
        return statistics_pb2.FeatureNameStatistics.INT
    if pa.types.is_floating(values):
        return statistics_pb2.FeatureNameStatistics.FLOAT
    return statistics_pb2.FeatureNameStatistics.STRING


def _spell(value: Value) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return f"{value:g}" if isinstance(value, float) else str(value)
