"""The models that a pipeline has judged so far on the same data."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.evaluation.evaluation_result import is_blessed, read_evaluation
from components.evaluation.metric_names import POPULARITY, RECALL
from components.history.lineage import manifest_behind
from components.naming import EVALUATION, EXAMPLES
from components.report.report_model import PastRun
from data.examples.manifest import Manifest
from data.identity import DataIdentity
from pipeline.metadata_store import open_store
from pipeline.relocation import Home
from pipeline.runs.record import RunRecord

_SHOWN = 20
"""The most evaluations that are shown."""


def read_history(record: RunRecord) -> list[PastRun]:
    """Read the latest evaluations on the data of a run, its own among them, oldest first.

    Parameters
    ----------
    record
        The run. Figures of another data identity are left out; a run without examples has no history.
    """
    examples, current = record.folder(EXAMPLES), record.folder(EVALUATION)
    if examples is None:
        return []
    store, home = open_store(record.metadata_file), Home.of(record.metadata_file)
    data = DataIdentity.of(Manifest.load(examples))
    evaluations = _by_execution(store, "ModelEvaluation")
    blessings = _by_execution(store, "ModelBlessing")
    history: list[PastRun] = []
    for execution in sorted(evaluations.keys() & blessings.keys(), reverse=True):
        evaluation, blessing = home.present(evaluations[execution]), home.present(blessings[execution])
        folder = Path(evaluation.uri)
        judged_on = manifest_behind(store, evaluation.id, home.present)
        # Folders may have been removed by hand.
        if not folder.is_dir() or judged_on is None or data.why_other(DataIdentity.of(judged_on)) is not None:
            continue
        own = record.evaluation_result if folder == current else None
        candidate = (own.evaluation if own is not None else read_evaluation(folder)).candidate
        history.append(
            PastRun(
                when=datetime.fromtimestamp(evaluation.create_time_since_epoch / 1000, timezone.utc),
                recall=candidate[RECALL],
                recall_popularity=candidate[f"{RECALL}{POPULARITY}"],
                blessed=is_blessed(Path(blessing.uri)),
                current=folder == current,
            )
        )
        if len(history) == _SHOWN:
            break
    return history[::-1]


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
