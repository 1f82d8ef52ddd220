"""All runs of a pipeline with what they read and made, from ML Metadata; read once, and asked without a query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.naming import NAMESPACE
from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.identity import DataIdentity
from pipeline.deleted_artifacts import has_files
from pipeline.error_messages import check_metadata_opens, describe_failure
from pipeline.housekeeping.removal import is_plainly_below
from pipeline.metadata_store import open_store
from pipeline.relocation import Home

_Event = metadata_store_pb2.Event

_OUTPUTS = (_Event.OUTPUT, _Event.PENDING_OUTPUT)
"""A step that failed, or was killed, leaves pending outputs."""

RUN_CONTEXT = "pipeline_run"
"""ML Metadata's type of the context that TFX gives each run."""

DELETED_MARK = "deleted"
"""Custom property of the context of a run that was deleted: ML Metadata's client can't delete contexts."""

VERDICT_TYPE = f"{NAMESPACE}.DataVerdict"
ANSWERS_TYPE = f"{NAMESPACE}.BatchAnswers"
EXAMPLES_TYPE = "Examples"
MODEL_TYPE = "Model"
BLESSING_TYPE = "ModelBlessing"
PUSHED_TYPE = "PushedModel"
STATISTICS_TYPE = "ExampleStatistics"


@dataclass(frozen=True)
class RecordedRun:
    """A run as ML Metadata has it.

    Attributes
    ----------
    context
        Its context's id.
    name
        The orchestrator's.
    began
        When its context was made.
    executions
        Ids of its executions, in the order in which they began.
    deleted
        Whether it was deleted before.
    """

    context: int
    name: str
    began: datetime
    executions: tuple[int, ...]
    deleted: bool = False


@dataclass(frozen=True)
class RunGraph:
    """The runs, executions and artifacts of a pipeline.

    Attributes
    ----------
    home
        Where they lie now.
    runs
        Oldest first.
    artifacts
        By id, with paths as they are now.
    kinds
        The name of each artifact's type.
    executions
        By id.
    nodes
        The id of each execution's node.
    read, made, touched
        By execution: inputs by (name, artifact's id), outputs likewise, and the ids of all artifacts that it has an
        event with. A cached execution has outputs, which an earlier one made.
    makers
        By artifact: the execution that made it.
    """

    home: Home
    runs: tuple[RecordedRun, ...]
    artifacts: dict[int, metadata_store_pb2.Artifact]
    kinds: dict[int, str]
    executions: dict[int, metadata_store_pb2.Execution]
    nodes: dict[int, str]
    read: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    made: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    touched: dict[int, set[int]] = field(default_factory=dict)
    makers: dict[int, int] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[int]:
        """Return the ids of the artifacts of a type, oldest first."""
        return sorted(artifact for artifact in self.artifacts if self.kinds[artifact] == kind)

    def folder(self, artifact: int) -> Path:
        """Return where an artifact's files lie."""
        return Path(self.artifacts[artifact].uri)

    def is_whole(self, artifact: int) -> bool:
        """Return whether an artifact is live and its files are there, as far as their names tell."""
        found = self.artifacts[artifact]
        return found.state == metadata_store_pb2.Artifact.LIVE and has_files(found, self.kinds[artifact])

    def inputs_of(self, artifact: int) -> list[int]:
        """Return the artifacts that the one that made an artifact read."""
        return [read for _, read in self.read.get(self.makers.get(artifact, 0), [])]

    def examples_behind(self, artifact: int) -> list[int]:
        """Return the examples that the execution which made an artifact read; of examples, themselves."""
        if self.kinds[artifact] == EXAMPLES_TYPE:
            return [artifact]
        return [read for read in self.inputs_of(artifact) if self.kinds[read] == EXAMPLES_TYPE]

    def upstream(self, artifacts: Iterable[int]) -> set[int]:
        """Return artifacts and all that they came from."""
        found: set[int] = set()
        waiting = list(artifacts)
        while waiting:
            artifact = waiting.pop()
            if artifact not in found:
                found.add(artifact)
                waiting.extend(self.inputs_of(artifact))
        return found

    def accepted_examples(self) -> set[int]:
        """Return the examples that the data gate let pass, and those that were read again in their place."""
        found = {
            examples
            for verdict in self.of_kind(VERDICT_TYPE)
            for name, statistics in self.read.get(self.makers.get(verdict, 0), [])
            if name == "statistics"
            for examples in self.examples_behind(statistics)
        }
        for examples in self.of_kind(EXAMPLES_TYPE):
            if not found.isdisjoint(self.inputs_of(examples)):
                found.add(examples)
        return found

    def holds(self, artifact: int) -> bool:
        """Return whether an artifact lies in this work directory, and behind no link."""
        folder = self.folder(artifact)
        return self.home.former(str(folder)) == self.home.work_dir and is_plainly_below(
            folder, Path(self.home.work_dir)
        )

    def identity(self, artifact: int) -> DataIdentity | None:
        """Return the identity of the data behind an artifact; None if no manifest of it can be read."""
        for examples in self.examples_behind(artifact):
            folder = self.folder(examples)
            if (folder / MANIFEST_FILE).is_file():
                try:
                    return DataIdentity.of(Manifest.load(folder))
                except InputError:
                    continue
        return None

    def executions_of(self, runs: Iterable[RecordedRun]) -> Iterator[int]:
        """Yield the ids of the executions of runs."""
        for run in runs:
            yield from run.executions


def read_run_graph(metadata: Path) -> RunGraph:
    """Read all that ML Metadata knows of a pipeline's runs.

    Parameters
    ----------
    metadata
        The pipeline's SQLite file.

    Raises
    ------
    InputError
        The file can't be read.
    """
    home = Home.of(metadata)
    check_metadata_opens(metadata)
    try:
        return _read(open_store(str(metadata), read_only=True), home)
    except (mlmd.errors.StatusError, RuntimeError) as error:
        reason = describe_failure(error, Path(home.work_dir))
        raise InputError(f"{metadata} can't be read: {reason.message}", code=reason.code) from error


def _read(store: mlmd.MetadataStore, home: Home) -> RunGraph:
    types = {kind.id: kind.name for kind in store.get_artifact_types()}
    artifacts = {artifact.id: home.present(artifact) for artifact in store.get_artifacts()}
    executions = {execution.id: execution for execution in store.get_executions()}
    read: dict[int, list[tuple[str, int]]] = defaultdict(list)
    made: dict[int, list[tuple[str, int]]] = defaultdict(list)
    touched: dict[int, set[int]] = defaultdict(set)
    makers: dict[int, int] = {}
    for event in store.get_events_by_execution_ids(list(executions)) if executions else []:
        touched[event.execution_id].add(event.artifact_id)
        name = event.path.steps[0].key if event.path.steps else ""
        if event.type == _Event.INPUT:
            read[event.execution_id].append((name, event.artifact_id))
        elif event.type in _OUTPUTS:
            made[event.execution_id].append((name, event.artifact_id))
            # A cached execution has the same output as the one that made it, which is the earliest.
            makers[event.artifact_id] = min(event.execution_id, makers.get(event.artifact_id, event.execution_id))
    return RunGraph(
        home=home,
        runs=tuple(_runs(store)),
        artifacts=artifacts,
        kinds={artifact.id: types[artifact.type_id] for artifact in artifacts.values()},
        executions=executions,
        nodes=dict(_nodes(store)),
        read=dict(read),
        made=dict(made),
        touched=dict(touched),
        makers=makers,
    )


def _runs(store: mlmd.MetadataStore) -> Iterator[RecordedRun]:
    for context in sorted(store.get_contexts_by_type(RUN_CONTEXT), key=lambda context: context.id):
        executions = sorted(execution.id for execution in store.get_executions_by_context(context.id))
        yield RecordedRun(
            context=context.id,
            name=context.name,
            began=datetime.fromtimestamp(context.create_time_since_epoch / 1000, timezone.utc),
            executions=tuple(executions),
            deleted=DELETED_MARK in context.custom_properties,
        )


def _nodes(store: mlmd.MetadataStore) -> Iterator[tuple[int, str]]:
    """Yield executions with their nodes; TFX names a node's context `<pipeline>.<node>`."""
    for context in store.get_contexts_by_type("node"):
        for execution in store.get_executions_by_context(context.id):
            yield execution.id, context.name.rpartition(".")[2]
