"""The unpadded statistics as plain figures, for pages, tables and programs. Reads the protos only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from tensorflow_metadata.proto.v0 import statistics_pb2

from data import features
from data.errors import InputError
from data.examples.manifest import Manifest
from data.features import Feature, Kind

STATISTICS_FILE = "FeatureStats.pb"
"""The file's name in a split's folder, StatisticsGen's own."""


class NumberStatistics(BaseModel):
    """Figures of a feature's values, each counted as often as it occurs."""

    mean: float
    std: float
    min: float
    median: float
    max: float


class FeatureStatistics(BaseModel):
    """What one feature holds in one split.

    Attributes
    ----------
    missing
        Examples without the feature.
    values
        Values in all examples, pads left out.
    padding_share
        Pads among all positions, 0 to 1; 0 for features that are never padded.
    distinct
        Distinct values.
    numbers
        For numbers only.
    counts
        How often each value occurs, the most frequent first; numbers in ascending order.
    """

    name: str
    kind: Kind
    missing: int
    values: int
    padding_share: float
    distinct: int
    numbers: NumberStatistics | None
    counts: dict[str, int]

    def share(self, value: str) -> float:
        """Return the share of the values that is `value`."""
        return self.counts.get(value, 0) / self.values if self.values else 0.0

    def top(self, count: int) -> Iterator[tuple[str, int, float]]:
        """Yield the most frequent values with how often they occur, and with which share."""
        ordered = sorted(self.counts.items(), key=lambda item: -item[1])
        for value, times in ordered[:count]:
            yield value, times, times / self.values


class SplitStatistics(BaseModel):
    """What one split holds."""

    split: str
    examples: int
    features: dict[str, FeatureStatistics]

    @property
    def unseen_label_share(self) -> float:
        """Share of the labels that are movies which train never shows as a label."""
        popularity = self.features.get(features.LABEL_POPULARITY)
        return popularity.share(features.POPULARITY_BUCKETS[-1]) if popularity else 0.0

    @property
    def unknown_year_share(self) -> float:
        """Share of the context movies whose year the release doesn't give."""
        years, ids = self.features.get(features.CONTEXT_MOVIE_YEAR), self.features.get(features.CONTEXT_MOVIE_ID)
        return 1 - years.values / ids.values if years and ids and ids.values else 0.0

    def head_share(self, count: int) -> float:
        """Return the share of the labels that the `count` most frequent movies make up."""
        labels = self.features.get(features.LABEL_MOVIE_ID)
        return sum(share for _, _, share in labels.top(count)) if labels else 0.0


def read_statistics(folder: Path, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Read the statistics of a split, in TFDV's format.

    Parameters
    ----------
    folder
        A statistics artifact's folder.
    split
        The split's name.

    Raises
    ------
    InputError
        There are none.
    """
    path = folder / f"Split-{split}" / STATISTICS_FILE
    try:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}", code="S04") from error


def split_names(folder: Path) -> list[str]:
    """Return the splits of a statistics artifact, train first."""
    names = [path.parent.name.removeprefix("Split-") for path in folder.glob(f"Split-*/{STATISTICS_FILE}")]
    return sorted(names, key=lambda name: (name != "train", name))


def read_split_statistics(folder: Path, split: str, manifest: Manifest) -> SplitStatistics:
    """Read the unpadded statistics of a split as figures.

    Parameters
    ----------
    folder
        The artifact's folder.
    split
        The split's name.
    manifest
        The examples' manifest: gives the lengths before padding was left out.
    """
    dataset = read_statistics(folder, split).datasets[0]
    examples = int(dataset.num_examples)
    by_name = {feature.path.step[0]: feature for feature in dataset.features}
    return SplitStatistics(
        split=split,
        examples=examples,
        features={
            feature.name: _statistics_of(
                feature, by_name[feature.name], examples, _padding_share(feature, by_name, examples, manifest)
            )
            for feature in features.FEATURES
            if feature.name in by_name
        },
    )


def _padding_share(
    feature: Feature, by_name: dict[str, statistics_pb2.FeatureNameStatistics], examples: int, manifest: Manifest
) -> float:
    """Return the share of a feature's positions that pads fill; unknown values are no pads."""
    if feature.pad is None or not examples:
        return 0.0
    length = feature.num_values(manifest.options)
    # Where unknown values are left out too, the movie ids tell how many positions are filled.
    counted = feature.name if feature.unknown is None else features.CONTEXT_MOVIE_ID
    values = by_name[counted].string_stats.common_stats.tot_num_values if counted in by_name else examples * length
    return 1 - values / (examples * length)


def _statistics_of(
    feature: Feature, proto: statistics_pb2.FeatureNameStatistics, examples: int, padding_share: float
) -> FeatureStatistics:
    common = proto.string_stats.common_stats
    counts = {bucket.label: round(bucket.sample_count) for bucket in proto.string_stats.rank_histogram.buckets}
    values = int(common.tot_num_values)
    kind = feature.kind
    if kind == "number":
        counts = dict(sorted(counts.items(), key=lambda item: float(item[0])))
    return FeatureStatistics(
        name=feature.name,
        kind=kind,
        missing=examples - int(common.num_non_missing),
        values=values,
        padding_share=padding_share,
        distinct=int(proto.string_stats.unique),
        numbers=_numbers_of(counts) if kind == "number" and counts else None,
        counts=counts,
    )


def _numbers_of(counts: dict[str, int]) -> NumberStatistics:
    """Compute from counts in ascending order; the median of an even number of values is the lower one."""
    numbers = [(float(value), times) for value, times in counts.items()]
    total = sum(times for _, times in numbers)
    mean = sum(value * times for value, times in numbers) / total
    variance = sum((value - mean) ** 2 * times for value, times in numbers) / total
    passed, median = 0, numbers[0][0]
    for value, times in numbers:
        median, passed = value, passed + times
        if 2 * passed >= total:
            break
    return NumberStatistics(mean=mean, std=math.sqrt(variance), min=numbers[0][0], median=median, max=numbers[-1][0])
