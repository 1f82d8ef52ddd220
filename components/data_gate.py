"""The data gate: stops a run before training when its data is not what the schema and the last run lead to expect.

TFX's ExampleValidator records anomalies and goes on, and never looks at an earlier run.
"""

import json
import logging
from collections.abc import Collection, Iterator

import tensorflow_data_validation as tfdv
from pydantic import BaseModel
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.artifacts import DataVerdict
from components.finding import Finding
from components.gate_settings import DataGateSettings
from data import features
from data.errors import InputError

VERDICT_FILE = "verdict.json"

logger = logging.getLogger("next_movie.data_gate")

ANOMALIES, DRIFT, UNSEEN_LABELS = "anomalies", "drift", "unseen_labels"
"""Kinds of findings, and the settings that say what becomes of one."""

_ALL = "(all)"
"""What stands for a feature where it is about the examples."""

_DRIFT_REASONS = "COMPARATOR_"
"""What the names of TFDV's reasons begin with that have to do with other statistics."""


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
    people watch.

    Parameters
    ----------
    current, previous
        Statistics of the train split, padding included.
    schema
        Its drift comparators name what is compared, and how far it may move. What else it asks is not looked at.
    """
    other_lengths = _other_lengths(current, previous)
    compared = tfdv.validate_statistics(
        current, _without_comparators(schema, other_lengths), previous_statistics=previous
    )
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
        feature.name: other_lengths.get(feature.name, "the statistics hold nothing that could be compared")
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


@tfx.dsl.components.component
def DataGate(  # noqa: N802
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    schema: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Schema],
    anomalies: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleAnomalies],
    verdict: tfx.dsl.components.OutputArtifact[DataVerdict],
    settings: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
    previous_statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics] = None,
) -> None:
    """Raise `InputError` on findings that the settings don't turn into warnings, else write the verdict.

    `settings` is a `DataGateSettings` as JSON. `code_digest` only tells TFX's cache when this code changes.
    """
    gate = DataGateSettings.model_validate_json(settings)
    of_split = {split: _load_statistics(statistics, split) for split in _splits(statistics)}
    findings = [
        finding for split in _splits(anomalies) for finding in find_anomalies(split, _load_anomalies(anomalies, split))
    ]
    drift = Drift()
    if previous_statistics is not None:
        previous = _load_statistics(previous_statistics, "train")
        drift = find_drift(of_split["train"], previous, tfdv.load_schema_text(f"{schema.uri}/schema.pbtxt"))
        findings += drift.findings
    if drift.not_compared:
        reasons = "; ".join(f"{feature} ({reason})" for feature, reason in drift.not_compared.items())
        logger.info("not compared with the previous run: %s", reasons)
    unseen = unseen_label_share(of_split["eval"])
    if unseen is not None and unseen > gate.max_unseen_label_share:
        allowed = f"{gate.max_unseen_label_share:.0%}"
        what = f"{unseen:.1%} of the eval labels are ids that train never shows, more than {allowed}"
        figures = (unseen, gate.max_unseen_label_share)
        findings.append(_found(UNSEEN_LABELS, "eval", features.LABEL_POPULARITY, what, *figures))
    stopping = [finding for finding in findings if getattr(gate, finding.kind) == "stop"]
    with tfx.dsl.io.fileio.open(f"{verdict.uri}/{VERDICT_FILE}", "w") as file:
        json.dump(
            {
                "findings": [finding.model_dump() for finding in findings],
                "distances": drift.distances,
                "not_compared": drift.not_compared,
                "unseen_label_share": unseen,
                "compared_with_previous": previous_statistics is not None,
            },
            file,
            indent=2,
            allow_nan=False,
        )
    for finding in findings:
        if finding not in stopping:
            logger.warning("%s", _describe(finding))
    if stopping:
        kinds = dict.fromkeys(finding.kind for finding in stopping)
        meant = " ".join(f"--set data_gate.{kind}=warn" for kind in kinds)
        raise InputError(
            f"the data is refused: {'; '.join(_describe(finding) for finding in stopping)}. Generate the data again; "
            f"if it is meant to be so, add `{meant}`",
            code="G13",
        )


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


def _describe(finding: Finding) -> str:
    return f"{finding.kind.replace('_', ' ')} in {', '.join(finding.where or ())}: {finding.what}"


def _splits(artifact: tfx.dsl.Artifact) -> list[str]:
    return artifact_utils.decode_split_names(artifact.split_names)


def _load_statistics(artifact: tfx.dsl.Artifact, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.load_stats_binary(f"{artifact.uri}/Split-{split}/FeatureStats.pb")


def _load_anomalies(artifact: tfx.dsl.Artifact, split: str) -> anomalies_pb2.Anomalies:
    with tfx.dsl.io.fileio.open(f"{artifact.uri}/Split-{split}/SchemaDiff.pb", "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def _one_line(text: str) -> str:
    return " ".join(text.split())
