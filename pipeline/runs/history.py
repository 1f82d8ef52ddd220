"""The models that a pipeline has judged so far on the same data."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.artifacts import AuditRecord
from components.audit.figures import AUDIT_FILE, read_audit
from components.evaluation.evaluation_result import is_blessed, read_evaluation
from components.evaluation.metric_names import POPULARITY, RECALL
from components.history.lineage import manifest_behind
from components.naming import EVALUATION, EXAMPLES, MODEL
from components.report.report_model import PastRun
from data.examples.manifest import Manifest
from data.identity import DataIdentity
from pipeline.metadata_store import open_store
from pipeline.relocation import Home
from pipeline.runs.record import RunRecord

_BASELINE_INPUT = "baseline_model"
"""The Evaluator's input."""

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
    audits = _audits_by_model(store)
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
                audit=_audit_figures(audits.get(_model_read_by(store, execution)), home),
            )
        )
        if len(history) == _SHOWN:
            break
    return history[::-1]


def _audits_by_model(store: mlmd.MetadataStore) -> dict[int | None, metadata_store_pb2.Artifact]:
    """Return the newest audit of each model, by the model's id."""
    made = _by_execution(store, AuditRecord.TYPE_NAME)
    return {_model_read_by(store, execution): made[execution] for execution in sorted(made)}


def _model_read_by(store: mlmd.MetadataStore, execution: int) -> int | None:
    """Return the id of the model that an execution was given; None for one without."""
    read = {
        event.path.steps[0].key: event.artifact_id
        for event in store.get_events_by_execution_ids([execution])
        if event.type == metadata_store_pb2.Event.INPUT
    }
    # ML Metadata keeps one event of an artifact: a model that is held against itself stands under either name.
    return read.get(MODEL.name, read.get(_BASELINE_INPUT))


def _audit_figures(audit: metadata_store_pb2.Artifact | None, home: Home) -> dict[str, float | None]:
    """Return an audit's figures; none where there is no audit, or its folder was removed by hand."""
    folder = Path(home.present(audit).uri) if audit is not None else None
    return read_audit(folder).history_figures() if folder is not None and (folder / AUDIT_FILE).is_file() else {}


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
