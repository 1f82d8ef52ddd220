"""The data gate: stops a run before training when its data is not what the schema and the last run lead to expect.

TFX's ExampleValidator records anomalies and goes on, and never looks at an earlier run.
"""

import json
import logging
from collections.abc import Iterator
from typing import Literal

import tensorflow_data_validation as tfdv
from pydantic import BaseModel
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.artifacts import DataVerdict
from components.gate_settings import DataGateSettings
from data import features
from data.errors import InputError

VERDICT_FILE = "verdict.json"

logger = logging.getLogger("next_movie.data_gate")

Kind = Literal["anomalies", "drift", "unseen_labels"]


class Finding(BaseModel):
    """One thing that is wrong with the data."""

    kind: Kind
    split: str
    feature: str
    reason: str


def find_anomalies(split: str, anomalies: anomalies_pb2.Anomalies, kind: Kind) -> Iterator[Finding]:
    """Yield a finding for each anomaly that TFDV recorded."""
    for feature, info in sorted(anomalies.anomaly_info.items()):
        yield Finding(kind=kind, split=split, feature=feature, reason=_one_line(info.description))
    if anomalies.HasField("dataset_anomaly_info"):
        reason = _one_line(anomalies.dataset_anomaly_info.description)
        yield Finding(kind=kind, split=split, feature="(all)", reason=reason)
    if anomalies.data_missing:
        yield Finding(kind=kind, split=split, feature="(all)", reason="there are no examples")


def find_drift(
    current: statistics_pb2.DatasetFeatureStatisticsList,
    previous: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
) -> tuple[list[Finding], dict[str, float]]:
    """Compare the train split's statistics with those of the previous run.

    Parameters
    ----------
    current, previous
        Statistics of the train split.
    schema
        Its drift comparators name what is compared, and how far it may move.

    Returns
    -------
    tuple
        The findings, and each measured distance by `feature: measure`.
    """
    compared = tfdv.validate_statistics(current, schema, previous_statistics=previous)
    plain = tfdv.validate_statistics(current, schema)
    distances = {}
    for info in compared.drift_skew_info:
        for measurement in info.drift_measurements:
            measure = anomalies_pb2.DriftSkewInfo.Measurement.Type.Name(measurement.type)
            distances[f"{'.'.join(info.path.step)}: {measure}"] = float(measurement.value)
    for feature in plain.anomaly_info:
        # These have nothing to do with the previous run, and are found as anomalies.
        compared.anomaly_info.pop(feature, None)
    return list(find_anomalies("train", compared, "drift")), distances


def unseen_label_share(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> float:
    """Return the share of labels that train never shows, by the eval split's statistics."""
    feature = tfdv.get_feature_stats(statistics.datasets[0], tfdv.FeaturePath([features.LABEL_POPULARITY]))
    buckets = feature.string_stats.rank_histogram.buckets
    total = sum(bucket.sample_count for bucket in buckets)
    unseen = sum(bucket.sample_count for bucket in buckets if bucket.label == features.POPULARITY_BUCKETS[-1])
    return unseen / total if total else 0.0


@tfx.dsl.components.component
def DataGate(  # noqa: N802
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    schema: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Schema],
    anomalies: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleAnomalies],
    verdict: tfx.dsl.components.OutputArtifact[DataVerdict],
    settings: tfx.dsl.components.Parameter[str],
    source_digest: tfx.dsl.components.Parameter[str],
    previous_statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics] = None,
) -> None:
    """Raise `InputError` on findings that the settings don't turn into warnings, else write the verdict.

    `settings` is a `DataGateSettings` as JSON. `source_digest` only tells TFX's cache when this code changes.
    """
    gate = DataGateSettings.model_validate_json(settings)
    of_split = {split: _load_statistics(statistics, split) for split in _splits(statistics)}
    findings = [
        finding
        for split in _splits(anomalies)
        for finding in find_anomalies(split, _load_anomalies(anomalies, split), "anomalies")
    ]
    distances: dict[str, float] = {}
    if previous_statistics is not None:
        previous = _load_statistics(previous_statistics, "train")
        drifted, distances = find_drift(
            of_split["train"], previous, tfdv.load_schema_text(f"{schema.uri}/schema.pbtxt")
        )
        findings += drifted
    unseen = unseen_label_share(of_split["eval"])
    if unseen > gate.max_unseen_label_share:
        allowed = f"{gate.max_unseen_label_share:.0%}"
        reason = f"{unseen:.1%} of the eval labels are movies that train never shows, more than {allowed}"
        findings.append(Finding(kind="unseen_labels", split="eval", feature=features.LABEL_POPULARITY, reason=reason))
    stopping = [finding for finding in findings if getattr(gate, finding.kind) == "stop"]
    with tfx.dsl.io.fileio.open(f"{verdict.uri}/{VERDICT_FILE}", "w") as file:
        json.dump(
            {
                "findings": [finding.model_dump() for finding in findings],
                "distances": distances,
                "unseen_label_share": unseen,
                "compared_with_previous": previous_statistics is not None,
            },
            file,
            indent=2,
        )
    for finding in findings:
        if finding not in stopping:
            logger.warning("%s", _describe(finding))
    if stopping:
        meant = " and ".join(f"data_gate.{kind}: warn" for kind in dict.fromkeys(finding.kind for finding in stopping))
        raise InputError(
            f"the data is refused: {'; '.join(_describe(finding) for finding in stopping)}. Generate the data again; "
            f"if it is meant to be so, set `{meant}` in the configuration"
        )


def _describe(finding: Finding) -> str:
    return f"{finding.kind.replace('_', ' ')} in {finding.split}, {finding.feature}: {finding.reason}"


def _splits(artifact: tfx.dsl.Artifact) -> list[str]:
    return artifact_utils.decode_split_names(artifact.split_names)


def _load_statistics(artifact: tfx.dsl.Artifact, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.load_stats_binary(f"{artifact.uri}/Split-{split}/FeatureStats.pb")


def _load_anomalies(artifact: tfx.dsl.Artifact, split: str) -> anomalies_pb2.Anomalies:
    with tfx.dsl.io.fileio.open(f"{artifact.uri}/Split-{split}/SchemaDiff.pb", "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def _one_line(text: str) -> str:
    return " ".join(text.split())
