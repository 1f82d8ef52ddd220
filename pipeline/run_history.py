"""The models that a pipeline has judged so far."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.gate_settings import ModelGateSettings
from components.judgement import read_judgement
from components.report.facts import PastRun
from components.retrieval_metrics import RECALL
from pipeline.metadata_store import open_store
from pipeline.relocation import Home

_SHOWN = 20
"""The latest judgements that are told of."""


def read_history(metadata_file: str, gate: ModelGateSettings, current: Path | None) -> list[PastRun]:
    """Read the latest judgements, oldest first.

    Parameters
    ----------
    metadata_file
        The pipeline's SQLite file.
    gate
        The thresholds.
    current
        Folder of the evaluation of the run that is being told about; None if it has none.
    """
    store, home = open_store(metadata_file), Home.of(metadata_file)
    evaluations = _by_execution(store, "ModelEvaluation")
    blessings = _by_execution(store, "ModelBlessing")
    history = []
    for execution in sorted(evaluations.keys() & blessings.keys())[-_SHOWN:]:
        evaluation, blessing = home.present(evaluations[execution]), home.present(blessings[execution])
        folder = Path(evaluation.uri)
        if not folder.is_dir():
            # Somebody tidied up.
            continue
        judgement = read_judgement(folder, Path(blessing.uri), gate)
        history.append(
            PastRun(
                when=datetime.fromtimestamp(evaluation.create_time_since_epoch / 1000, timezone.utc),
                recall=judgement.candidate[RECALL],
                recall_popularity=judgement.candidate[f"{RECALL}_popularity"],
                blessed=judgement.blessed,
                current=folder == current,
            )
        )
    return history


def _by_execution(store: mlmd.MetadataStore, type_name: str) -> dict[int, metadata_store_pb2.Artifact]:
    """Return the artifacts of a type by the execution that made them; a cached execution makes none."""
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_type(type_name)}
    made: dict[int, metadata_store_pb2.Artifact] = {}
    makers: dict[int, int] = {}
    for event in store.get_events_by_artifact_ids(list(artifacts)) if artifacts else []:
        if event.type == metadata_store_pb2.Event.OUTPUT:
            first = min(event.execution_id, makers.get(event.artifact_id, event.execution_id))
            makers[event.artifact_id] = first
    for artifact_id, execution_id in makers.items():
        made[execution_id] = artifacts[artifact_id]
    return made
