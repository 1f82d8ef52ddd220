"""The data gate: stops a run before training when its data is not what the schema and the last run lead to expect.

TFX's ExampleValidator records anomalies and goes on, and never looks at an earlier run.
"""

import logging

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.artifacts import DataVerdict
from components.data_gate.rules import VERDICT_FILE, judge
from components.finding import Finding
from components.gate_settings import DataGateSettings
from data.errors import InputError

logger = logging.getLogger("next_movie.data_gate")


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
    recorded = {split: _load_anomalies(anomalies, split) for split in _splits(anomalies)}
    previous = _load_statistics(previous_statistics, "train") if previous_statistics is not None else None
    result = judge(of_split, recorded, previous, tfdv.load_schema_text(f"{schema.uri}/schema.pbtxt"), gate)
    if result.not_compared:
        reasons = "; ".join(f"{feature} ({reason})" for feature, reason in result.not_compared.items())
        logger.info("not compared with the previous run: %s", reasons)
    stopping = [finding for finding in result.findings if getattr(gate, finding.kind) == "stop"]
    with tfx.dsl.io.fileio.open(f"{verdict.uri}/{VERDICT_FILE}", "w") as file:
        file.write(result.model_dump_json(indent=2))
    for finding in result.findings:
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


def _describe(finding: Finding) -> str:
    return f"{finding.kind.replace('_', ' ')} in {', '.join(finding.where or ())}: {finding.what}"


def _splits(artifact: tfx.dsl.Artifact) -> list[str]:
    return artifact_utils.decode_split_names(artifact.split_names)


def _load_statistics(artifact: tfx.dsl.Artifact, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.load_stats_binary(f"{artifact.uri}/Split-{split}/FeatureStats.pb")


def _load_anomalies(artifact: tfx.dsl.Artifact, split: str) -> anomalies_pb2.Anomalies:
    with tfx.dsl.io.fileio.open(f"{artifact.uri}/Split-{split}/SchemaDiff.pb", "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())
