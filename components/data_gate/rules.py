"""What is wrong with data, by the statistics of their examples: anomalies, drift, labels that train never shows."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import tensorflow_data_validation as tfdv
from pydantic import BaseModel
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.finding import Finding
from components.gate_settings import DataGateSettings
from data import features

VERDICT_FILE = "verdict.json"

ANOMALIES, DRIFT, UNSEEN_LABELS = "anomalies", "drift", "unseen_labels"
"""Kinds of findings, and the settings that say what becomes of one."""

_ALL = "(all)"
"""What stands for a feature where it is about the examples."""

_DRIFT_REASONS = "COMPARATOR_"
"""What the names of TFDV's reasons begin with that have to do with other statistics."""


class Verdict(BaseModel):
    """What the gate found in data, as `verdict.json` has it; None of a share that the statistics don't tell."""

    findings: list[Finding]
    distances: dict[str, float]
    not_compared: dict[str, str]
    unseen_label_share: float | None
    compared_with_previous: bool


class Drift(BaseModel):
    """How the train split lies from that of the previous run.

    Attributes
    ----------
    findings
        One for each distance beyond its threshold.
    distances
        Each measured distance by `feature: measure`.
    not_compared
        Features that the schema asks to compare and that were not, each with the reason.
    """

    findings: list[Finding] = []
    distances: dict[str, float] = {}
    not_compared: dict[str, str] = {}


def find_anomalies(split: str, anomalies: anomalies_pb2.Anomalies) -> Iterator[Finding]:
    """Yield a finding for each anomaly that TFDV recorded."""
    for feature, info in sorted(anomalies.anomaly_info.items()):
        yield _found(ANOMALIES, split, feature, _one_line(info.description))
    if anomalies.HasField("dataset_anomaly_info"):
        yield _found(ANOMALIES, split, _ALL, _one_line(anomalies.dataset_anomaly_info.description))
    if anomalies.data_missing:
        yield _found(ANOMALIES, split, _ALL, "there are no examples")


def find_drift(
    current: statistics_pb2.DatasetFeatureStatisticsList,
    previous: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
) -> Drift:
    """Compare the train split's statistics with those of the previous run.

    Context features of another length are left out: they hold other positions and another share of padding, whatever
    people watch. So are features of one number in both, the pad aside, such as the rating of interactions without one:
    TFDV's distance is 1 where one side has pads and the other has none.

    Parameters
    ----------
    current, previous
        Statistics of the train split, padding included.
    schema
        Its drift comparators name what is compared, and how far it may move. What else it asks is not looked at.
    """
    left_out = _of_one_number(current, previous, schema) | _other_lengths(current, previous)
    compared = tfdv.validate_statistics(current, _without_comparators(schema, left_out), previous_statistics=previous)
    distances, figures = {}, {}
    for info in compared.drift_skew_info:
        feature = ".".join(info.path.step)
        for measurement in info.drift_measurements:
            measure = anomalies_pb2.DriftSkewInfo.Measurement.Type.Name(measurement.type)
            distances[f"{feature}: {measure}"] = float(measurement.value)
            figures[feature] = (float(measurement.value), float(measurement.threshold))
    findings = [
        _found(DRIFT, "train", feature, _one_line(reason.description), *figures.get(feature, ()))
        for feature, info in [*sorted(compared.anomaly_info.items()), (_ALL, compared.dataset_anomaly_info)]
        for reason in info.reason
        if anomalies_pb2.AnomalyInfo.Type.Name(reason.type).startswith(_DRIFT_REASONS)
    ]
    named = figures.keys() | {finding.where[1] for finding in findings if finding.where is not None}
    not_compared = {
        feature.name: left_out.get(feature.name, "the statistics hold nothing that could be compared")
        for feature in schema.feature
        if feature.HasField("drift_comparator") and feature.name not in named
    }
    return Drift(findings=findings, distances=distances, not_compared=not_compared)


def unseen_label_share(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> float | None:
    """Return the share of labels that train never shows, by the eval split's statistics; None if they don't tell."""
    popularity = _find_feature(statistics, features.LABEL_POPULARITY)
    buckets = popularity.string_stats.rank_histogram.buckets if popularity else []
    total = sum(bucket.sample_count for bucket in buckets)
    unseen = sum(bucket.sample_count for bucket in buckets if bucket.label == features.POPULARITY_BUCKETS[-1])
    return unseen / total if total else None


def judge(
    of_split: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList],
    anomalies: Mapping[str, anomalies_pb2.Anomalies],
    previous: statistics_pb2.DatasetFeatureStatisticsList | None,
    schema: schema_pb2.Schema,
    gate: DataGateSettings,
) -> Verdict:
    """Return what is wrong with the data, whatever is to become of it.

    Parameters
    ----------
    of_split, anomalies
        Statistics, padding included, and what TFDV recorded, by split.
    previous
        Statistics of the train split of an earlier run; None where there is none to compare with.
    schema
        The curated schema.
    gate
        What is allowed.
    """
    findings = [finding for split, recorded in anomalies.items() for finding in find_anomalies(split, recorded)]
    drift = find_drift(of_split["train"], previous, schema) if previous is not None else Drift()
    findings += drift.findings
    unseen = unseen_label_share(of_split["eval"])
    if unseen is not None and unseen > gate.max_unseen_label_share:
        allowed = f"{gate.max_unseen_label_share:.0%}"
        what = f"{unseen:.1%} of the eval labels are ids that train never shows, more than {allowed}"
        figures = (unseen, gate.max_unseen_label_share)
        findings.append(_found(UNSEEN_LABELS, "eval", features.LABEL_POPULARITY, what, *figures))
    return Verdict(
        findings=findings,
        distances=drift.distances,
        not_compared=drift.not_compared,
        unseen_label_share=unseen,
        compared_with_previous=previous is not None,
    )


def _of_one_number(
    current: statistics_pb2.DatasetFeatureStatisticsList,
    previous: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
) -> dict[str, str]:
    """Return the compared features that are one number in both, the pad 0 aside, each with that as the reason."""
    return {
        feature.name: "it is one number in both, beside the pad"
        for feature in schema.feature
        if feature.HasField("drift_comparator")
        and all(_is_one_number(_find_feature(statistics, feature.name)) for statistics in (current, previous))
    }


def _is_one_number(feature: statistics_pb2.FeatureNameStatistics | None) -> bool:
    """Return whether a feature's values, none of them below 0, are all the same but for zeros."""
    if feature is None or not feature.HasField("num_stats"):
        return False
    figures = feature.num_stats
    values = figures.common_stats.tot_num_values
    return math.isclose(figures.mean * values, figures.max * (values - figures.num_zeros), rel_tol=1e-9)


def _other_lengths(
    current: statistics_pb2.DatasetFeatureStatisticsList, previous: statistics_pb2.DatasetFeatureStatisticsList
) -> dict[str, str]:
    """Return the context features that a feature's or the context's other length changes, each with the reason.

    The genres are those of the context's first movies, so that they change with the context's length too.
    """
    reasons = {}
    for feature in (feature.name for feature in features.FEATURES if feature.about == "context"):
        for told_by in (features.CONTEXT_MOVIE_ID, feature):
            now, before = (_values_per_example(statistics, told_by) for statistics in (current, previous))
            if now is not None and before is not None and now != before:
                reasons[feature] = f"{now} values of {told_by} in an example, {before} in the previous run"
                break
    return reasons


def _values_per_example(statistics: statistics_pb2.DatasetFeatureStatisticsList, name: str) -> int | None:
    """Return how many values of a feature an example has; None if it is not there.

    The median is taken: a few examples of another length are an anomaly, and must not hide drift.
    """
    feature = _find_feature(statistics, name)
    if feature is None:
        return None
    buckets = getattr(feature, feature.WhichOneof("stats")).common_stats.num_values_histogram.buckets
    return round(buckets[len(buckets) // 2].low_value) if buckets else None


def _find_feature(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, name: str
) -> statistics_pb2.FeatureNameStatistics | None:
    return next((feature for feature in statistics.datasets[0].features if list(feature.path.step) == [name]), None)


def _without_comparators(schema: schema_pb2.Schema, names: Collection[str]) -> schema_pb2.Schema:
    """Return a schema that doesn't ask to compare the named features."""
    changed = schema_pb2.Schema()
    changed.CopyFrom(schema)
    for feature in changed.feature:
        if feature.name in names:
            feature.ClearField("drift_comparator")
    return changed


def _found(
    kind: str, split: str, feature: str, what: str, measured: float | None = None, allowed: float | None = None
) -> Finding:
    remedy = f"generate the data again; if it is meant to be so, add `--set data_gate.{kind}=warn`"
    return Finding(kind=kind, what=what, where=(split, feature), measured=measured, allowed=allowed, remedy=remedy)


def _one_line(text: str) -> str:
    return " ".join(text.split())
