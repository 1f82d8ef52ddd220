"""How far two sets of examples lie apart, by TFDV's own distances, and what moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import tensorflow_data_validation as tfdv
from pydantic import BaseModel
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from components.statistics.feature_statistics import FeatureStatistics, SplitStatistics, read_statistics
from data.errors import InputError
from data.examples.schema import SCHEMA_TYPES
from data.features import find_feature
from data.releases.catalogue import Catalogue
from pipeline.inspection.statistics_store import LATEST, StatisticsSet

_MOVERS = 5

_REAL_CHANGE = {"L_INFTY": 0.02, "JENSEN_SHANNON_DIVERGENCE": 0.01}
"""What may really change, beyond chance, where the schema says nothing.

The numbers of the schema's own comparators: below what the newest tenth of ml-latest-small is from the rest, and above
what two halves of one data set differ by.
"""

_NOISE_DEVIATIONS = 3.0
"""Standard deviations that a value's share may be off by chance."""


class Mover(BaseModel):
    """A value whose share changed."""

    value: str
    left: float
    right: float


class Distance(BaseModel):
    """How far a feature lies apart.

    Attributes
    ----------
    linf, js
        The largest difference of any value's share, and the Jensen-Shannon divergence in bits, 0 to 1.
    linf_limit, js_limit
        From where on it is more than chance and habit.
    movers
        The values that changed most.
    """

    feature: str
    linf: float
    linf_limit: float
    js: float
    js_limit: float
    movers: list[Mover]

    @property
    def moved(self) -> bool:
        """Whether either distance is beyond its limit."""
        return self.linf > self.linf_limit or self.js > self.js_limit


class Comparison(BaseModel):
    """Two sets of examples side by side.

    Attributes
    ----------
    not_compared
        Features that only one side has values of, each with the reason.
    """

    left: str
    right: str
    left_statistics: SplitStatistics
    right_statistics: SplitStatistics
    distances: list[Distance]
    not_compared: dict[str, str] = {}


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    source: StatisticsSet
    split: str

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.source.name}, {self.split}"


def parse_side(text: str) -> tuple[str, str]:
    """Read `[SOURCE:]SPLIT` or `SOURCE`; return source and split.

    Behind a folder any name is a split's, so that a misspelt one is told as such.

    >>> parse_side("eval"), parse_side("previous"), parse_side("runs/data/newer:eval")
    (('latest', 'eval'), ('previous', 'train'), ('runs/data/newer', 'eval'))
    """
    if text in ("train", "eval"):
        return LATEST, text
    source, colon, split = text.rpartition(":")
    names_split = split in ("train", "eval") or (Path(source).is_dir() and not Path(text).exists())
    return (source, split) if colon and names_split else (text, "train")


def compare(left: Side, right: Side) -> Comparison:
    """Measure the distances of all features that both sides have values of.

    Parameters
    ----------
    left, right
        The earlier or larger set on the left: what the other one is held against.

    Raises
    ------
    InputError
        A split is missing or empty.
    """
    left_statistics, right_statistics = (
        left.source.read_statistics(left.split),
        right.source.read_statistics(right.split),
    )
    for side, statistics in ((left, left_statistics), (right, right_statistics)):
        if not statistics.examples:
            raise InputError(f"{side.name} holds no examples, so that there is nothing to compare", code="S09")
    limits = _limits(left_statistics, right_statistics, right.source.schema())
    measured = tfdv.validate_statistics(
        read_statistics(right.source.unpadded, right.split),
        _schema_with(limits),
        previous_statistics=read_statistics(left.source.unpadded, left.split),
    )
    by_feature = {
        info.path.step[0]: {
            anomalies_pb2.DriftSkewInfo.Measurement.Type.Name(measurement.type): measurement.value
            for measurement in info.drift_measurements
        }
        for info in measured.drift_skew_info
    }
    catalogues = (right.source.catalogue, left.source.catalogue)
    return Comparison(
        left=left.name,
        right=right.name,
        left_statistics=left_statistics,
        right_statistics=right_statistics,
        distances=[
            Distance(
                feature=name,
                linf=by_feature[name]["L_INFTY"],
                linf_limit=limits[name]["L_INFTY"],
                js=by_feature[name]["JENSEN_SHANNON_DIVERGENCE"],
                js_limit=limits[name]["JENSEN_SHANNON_DIVERGENCE"],
                movers=_movers(left_statistics.features[name], right_statistics.features[name], catalogues),
            )
            for name in limits
        ],
        not_compared={
            name: f"{side.name} has no values of it"
            for side, statistics, other in (
                (left, left_statistics, right_statistics),
                (right, right_statistics, left_statistics),
            )
            for name in other.features
            if _has_values(other, name) and not _has_values(statistics, name)
        },
    )


def chance_distances(left: FeatureStatistics, right: FeatureStatistics, examples: tuple[int, int]) -> dict[str, float]:
    """Return how far two samples of one distribution lie apart.

    Parameters
    ----------
    left, right
        The samples.
    examples
        Their sizes. Examples are counted, not values: neighbouring windows repeat each other's context.

    Returns
    -------
    dict
        For the largest difference of a share, that of the most frequent value, off by some standard deviations. For
        the Jensen-Shannon divergence its expectation, (K - 1) / (8 ln 2) (1/n + 1/m) bits for K values: it grows
        with the number of movies and is no sign of anything.
    """
    total = left.values + right.values
    values = left.counts.keys() | right.counts.keys()
    most = max((left.counts.get(value, 0) + right.counts.get(value, 0)) / total for value in values) if total else 0.0
    chance = 1 / examples[0] + 1 / examples[1]
    return {
        "L_INFTY": _NOISE_DEVIATIONS * math.sqrt(most * (1 - most) * chance),
        "JENSEN_SHANNON_DIVERGENCE": max(len(values) - 1, 0) / (8 * math.log(2)) * chance,
    }


def _limits(left: SplitStatistics, right: SplitStatistics, schema: schema_pb2.Schema) -> dict[str, dict[str, float]]:
    """Add what may really change, by the schema where it says so, to what chance does."""
    limits = {}
    for name in left.features:
        if not (_has_values(left, name) and _has_values(right, name)):
            continue
        chance = chance_distances(left.features[name], right.features[name], (left.examples, right.examples))
        allowed = _allowed_by(schema, name)
        limits[name] = {measure: allowed[measure] + chance[measure] for measure in chance}
    return limits


def _has_values(statistics: SplitStatistics, name: str) -> bool:
    return name in statistics.features and statistics.features[name].values > 0


def _allowed_by(schema: schema_pb2.Schema, name: str) -> dict[str, float]:
    comparator = next((feature.drift_comparator for feature in schema.feature if feature.name == name), None)
    allowed = dict(_REAL_CHANGE)
    if comparator is not None and comparator.HasField("infinity_norm"):
        allowed["L_INFTY"] = comparator.infinity_norm.threshold
    if comparator is not None and comparator.HasField("jensen_shannon_divergence"):
        allowed["JENSEN_SHANNON_DIVERGENCE"] = comparator.jensen_shannon_divergence.threshold
    return allowed


def _schema_with(limits: dict[str, dict[str, float]]) -> schema_pb2.Schema:
    """Return a schema that asks for both distances of every feature, and for nothing else."""
    schema = schema_pb2.Schema()
    for name, of_feature in limits.items():
        kind = SCHEMA_TYPES[find_feature(name).type]
        feature = schema.feature.add(name=name, type=kind)
        if kind == schema_pb2.INT:
            feature.int_domain.is_categorical = True
        elif kind == schema_pb2.FLOAT:
            feature.float_domain.is_categorical = True
        feature.drift_comparator.infinity_norm.threshold = of_feature["L_INFTY"]
        feature.drift_comparator.jensen_shannon_divergence.threshold = of_feature["JENSEN_SHANNON_DIVERGENCE"]
    return schema


def _movers(left: FeatureStatistics, right: FeatureStatistics, catalogues: tuple[Catalogue, ...]) -> list[Mover]:
    """Return the values whose shares differ most; movies by title."""
    values = left.counts.keys() | right.counts.keys()
    ordered = sorted(values, key=lambda value: (-abs(left.share(value) - right.share(value)), value))
    return [
        Mover(
            value=_title(value, catalogues) if left.kind == "movie" else value,
            left=left.share(value),
            right=right.share(value),
        )
        for value in ordered[:_MOVERS]
    ]


def _title(value: str, catalogues: tuple[Catalogue, ...]) -> str:
    knowing = (catalogue for catalogue in catalogues if catalogue.parse_id(value) is not None)
    return next(knowing, catalogues[0]).title_of(value)
