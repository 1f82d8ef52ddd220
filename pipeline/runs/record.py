"""The record of a run, from ML Metadata and the artifacts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.audit.figures import AuditResult, read_audit
from components.data_gate.rules import VERDICT_FILE
from components.evaluation.evaluation_result import EvaluationResult, read_evaluation_result
from components.gate_settings import ModelGateSettings
from components.history.comparability import why_passed_over
from components.history.lineage import manifest_behind
from components.naming import (
    AUDIT_RECORD,
    BLESSING,
    CHOICE,
    CHOSEN,
    EVALUATION,
    EXAMPLES,
    LAST_BLESSED,
    PASSED_OVER,
    PUSHED_MODEL,
    SERVABILITY,
    VERDICT,
)
from components.serving_check.servable_check import FINDINGS_FILE, Servability
from components.spans.choice import CHOICE_FILE, Choice
from pipeline.metadata_store import open_store
from pipeline.relocation import Home

_Execution = metadata_store_pb2.Execution
_OUTPUTS = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.INTERNAL_OUTPUT)
"""A resolver's outputs are internal ones: it makes no artifacts, it passes them on."""
_STATES = {_Execution.COMPLETE: "done", _Execution.CACHED: "cached", _Execution.FAILED: "failed"}


@dataclass(frozen=True)
class Step:
    """One node's execution; `state` is done, cached, failed or unfinished, `started` counts from the epoch."""

    name: str
    state: str
    seconds: float
    started: float = 0.0


@dataclass(frozen=True)
class OutputArtifact:
    """The folder of an output, and its properties."""

    uri: Path
    properties: dict[str, str | int | float]
    id: int


@dataclass(frozen=True)
class RunRecord:
    """One run of a pipeline.

    Attributes
    ----------
    run_id
        The orchestrator's name of the run.
    steps
        In the order in which they ran.
    outputs
        By node and name of the output, such as `components.naming.MODEL`, which is `("Trainer", "model")`; where a
        cold training won, its outputs stand there too.
    evaluation_result
        None where the Evaluator did not run.
    data_verdict
        What the data gate wrote; empty where it did not run.
    servability
        What the servable check found; None where it did not run.
    audit
        What the audit measured and found; None where it did not run.
    choice
        Which of a warm and a cold training's models went on; None where there was one training.
    passed_over
        Folder of the last blessed model's artifact, where it could not be compared with; None otherwise.
    metadata_file
        The SQLite file that the run is recorded in.
    """

    run_id: str
    steps: list[Step]
    outputs: dict[tuple[str, str], OutputArtifact] = field(default_factory=dict)
    evaluation_result: EvaluationResult | None = None
    data_verdict: dict[str, Any] = field(default_factory=dict)
    servability: Servability | None = None
    audit: AuditResult | None = None
    choice: Choice | None = None
    passed_over: Path | None = None
    metadata_file: str = ""

    @property
    def published(self) -> Path | None:
        """The published version's folder; None if the model was not pushed."""
        pushed = self.outputs.get(PUSHED_MODEL)
        if pushed is None or not pushed.properties.get("pushed"):
            return None
        return Path(str(pushed.properties["pushed_destination"]))

    def folder(self, output: tuple[str, str]) -> Path | None:
        """Return the folder of an output; None if the run did not get to it."""
        return self.outputs[output].uri if output in self.outputs else None


def read_run_record(metadata_file: str, gate: ModelGateSettings, compared_with: str = LAST_BLESSED) -> RunRecord:
    """Read the latest run.

    Parameters
    ----------
    metadata_file
        The pipeline's SQLite file.
    gate
        The thresholds that the run was judged by, for the decision in words.
    compared_with
        Which model it was held against, in words.

    Raises
    ------
    LookupError
        No run is recorded.
    """
    store, home = open_store(metadata_file), Home.of(metadata_file)
    runs = store.get_contexts_by_type("pipeline_run")
    if not runs:
        raise LookupError(f"{metadata_file} records no run")
    latest = max(runs, key=lambda run: run.id)
    steps: list[Step] = []
    outputs: dict[tuple[str, str], OutputArtifact] = {}
    for execution in sorted(store.get_executions_by_context(latest.id), key=lambda execution: execution.id):
        node = _node_of(store, execution.id)
        milliseconds = execution.last_update_time_since_epoch - execution.create_time_since_epoch
        state = _STATES.get(execution.last_known_state, "unfinished")
        steps.append(Step(node, state, milliseconds / 1000, execution.create_time_since_epoch / 1000))
        for name, artifact in _outputs_of(store, execution.id, home):
            outputs[node, name] = artifact
    outputs |= {made: outputs[chosen] for made, chosen in CHOSEN.items() if chosen in outputs}
    evaluation, examples, passed_over = (outputs.get(name) for name in (EVALUATION, EXAMPLES, PASSED_OVER))
    verdict, servable, audit, choice = (outputs.get(name) for name in (VERDICT, SERVABILITY, AUDIT_RECORD, CHOICE))
    no_baseline = None
    if passed_over and examples:
        fitted_to = manifest_behind(store, passed_over.id, home.present)
        no_baseline = why_passed_over(passed_over.uri, examples.uri, fitted_to)
    return RunRecord(
        run_id=latest.name,
        steps=steps,
        outputs=outputs,
        evaluation_result=(
            read_evaluation_result(evaluation.uri, outputs[BLESSING].uri, gate, no_baseline, compared_with)
            if evaluation
            else None
        ),
        data_verdict=json.loads((verdict.uri / VERDICT_FILE).read_text(encoding="utf-8")) if verdict else {},
        servability=Servability.model_validate_json((servable.uri / FINDINGS_FILE).read_text(encoding="utf-8"))
        if servable
        else None,
        audit=read_audit(audit.uri) if audit else None,
        choice=Choice.model_validate_json((choice.uri / CHOICE_FILE).read_text(encoding="utf-8")) if choice else None,
        passed_over=passed_over.uri if passed_over else None,
        metadata_file=metadata_file,
    )


def _node_of(store: mlmd.MetadataStore, execution_id: int) -> str:
    """Return the node's id; TFX names the context `<pipeline>.<node>`."""
    contexts = store.get_contexts_by_execution(execution_id)
    types = {context_type.id: context_type.name for context_type in store.get_context_types()}
    return next(context.name for context in contexts if types[context.type_id] == "node").rsplit(".", 1)[1]


def _outputs_of(store: mlmd.MetadataStore, execution_id: int, home: Home) -> list[tuple[str, OutputArtifact]]:
    events = [event for event in store.get_events_by_execution_ids([execution_id]) if event.type in _OUTPUTS]
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id([e.artifact_id for e in events])}
    found = []
    for event in events:
        artifact = home.present(artifacts[event.artifact_id])
        properties = {
            name: getattr(value, value.WhichOneof("value"))
            for name, value in {**artifact.properties, **artifact.custom_properties}.items()
            if value.WhichOneof("value") in {"string_value", "int_value", "double_value"}
        }
        found.append((event.path.steps[0].key, OutputArtifact(Path(artifact.uri), properties, artifact.id)))
    return found
