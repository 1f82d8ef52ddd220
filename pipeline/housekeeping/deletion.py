"""Deleting runs: their artifacts' files and pages. ML Metadata is told, and keeps the record.

ML Metadata's client deletes nothing (google/ml-metadata #69): its maintainers advise the state DELETED, and against
changing the tables, whose layout may change. So runs and artifacts are marked, and stay as the lineage of others.

The order is such that a process may be killed anywhere: an artifact is marked as deleted before its files go, so that
no run takes it from the cache; the index of reports is written without a run before the run's page goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE
from pipeline.deleted_artifacts import mark_deleted
from pipeline.error_messages import check_metadata, describe_failure
from pipeline.housekeeping.removal import ASIDE_PREFIX, entries, is_plainly_below, remove, remove_all_but, size
from pipeline.housekeeping.retention import Retention, choose
from pipeline.housekeeping.run_graph import DELETED_MARK, RUN_CONTEXT, RecordedRun, RunGraph, read_run_graph
from pipeline.metadata_store import open_store
from pipeline.relocation import reroot
from pipeline.runs.index import page_names, write_index

_Artifact = metadata_store_pb2.Artifact

_ARTIFACTS = "artifacts"
_SCHEMA = "schema"
_SCHEMA_PROPERTY = "schema_file"
"""Property of the executions that import a schema: the file's path."""


@dataclass(frozen=True)
class Plan:
    """What is to be deleted of a pipeline.

    Attributes
    ----------
    metadata
        The pipeline's SQLite file.
    graph, retention
        Its runs, and what stays of them.
    whole
        Folders and files that go.
    bare
        Folders of examples of which the manifest stays.
    gone
        The artifacts whose files go.
    passed_over
        What has the name of an artifact's folder and is, or lies behind, a link: it is left as it is.
    """

    metadata: Path
    graph: RunGraph
    retention: Retention
    whole: tuple[Path, ...]
    bare: tuple[Path, ...]
    gone: tuple[int, ...]
    passed_over: tuple[Path, ...]

    @property
    def runs(self) -> list[RecordedRun]:
        """The runs that are not deleted yet."""
        return [run for run in self.retention.deleted if not run.deleted]

    @property
    def bytes(self) -> int:
        """What is freed."""
        inner = [entry for folder in self.bare for entry in entries(folder) if entry.name != MANIFEST_FILE]
        return size([*self.whole, *inner])

    @property
    def kept(self) -> Counter[str]:
        """How many artifacts of runs that are deleted stay, by reason."""
        deleted = set(self.graph.executions_of(self.retention.deleted))
        return Counter(
            reason
            for artifact, reason in self.retention.artifacts.items()
            if self.graph.makers.get(artifact) in deleted
        )


def plan_deletion(metadata: Path, *, keep_runs: int, older_than: timedelta | None, now: datetime) -> Plan:
    """Return what would be deleted, and change nothing.

    Parameters
    ----------
    metadata
        The pipeline's SQLite file.
    keep_runs, older_than, now
        As for `retention.choose`.

    Raises
    ------
    InputError
        The metadata can't be read.
    """
    graph = read_run_graph(metadata)
    retention = choose(graph, keep_runs=keep_runs, older_than=older_than, now=now)
    root = Path(graph.home.work_dir)
    deleted = set(graph.executions_of(retention.deleted))
    whole: list[Path] = []
    bare: list[Path] = []
    gone: list[int] = []
    passed_over: list[Path] = []
    for artifact in sorted(graph.artifacts):
        folder = graph.folder(artifact)
        if (
            artifact in retention.artifacts
            or graph.makers.get(artifact) not in deleted
            or graph.home.former(str(folder)) != graph.home.work_dir
        ):
            continue
        if not is_plainly_below(folder, root):
            passed_over.append(folder)
            continue
        gone.append(artifact)
        if artifact in retention.manifests:
            bare += [folder] if any(entry.name != MANIFEST_FILE for entry in entries(folder)) else []
        else:
            whole.append(folder)
    pages = [page for run in retention.deleted for page in _pages(graph, run)]
    beside = [*_system_folders(graph, deleted), *_schemas(graph, retention), *pages]
    whole += [path for path in beside if is_plainly_below(path, root)]
    return Plan(
        metadata=metadata,
        graph=graph,
        retention=retention,
        whole=tuple(path for path in whole if _is_left(path)),
        bare=tuple(bare),
        gone=tuple(gone),
        passed_over=tuple(path for path in passed_over if path.is_symlink() or path.exists()),
    )


def bring_up_to_date(metadata: Path) -> None:
    """Have metadata follow what was moved, copied or deleted by hand, as a run does before it begins.

    Raises
    ------
    InputError
        They can't be read, or written.
    """
    check_metadata(metadata, metadata.parent / _ARTIFACTS)
    reroot(metadata)
    mark_deleted(metadata)


def delete(plan: Plan) -> None:
    """Delete what a plan says. Killed on the way, a plan that is made anew has the rest.

    Raises
    ------
    InputError
        The metadata can't be written.
    OSError
        A file can't be removed.
    """
    _mark(plan)
    pages = {page for run in plan.retention.deleted for page in _pages(plan.graph, run)} & set(plan.whole)
    in_index = {page for page in pages if page.suffix == ".json"}
    for entry in sorted(in_index):
        remove(entry)
    if pages:
        write_index(_home(plan.graph).parent)
    for folder in plan.bare:
        remove_all_but(folder, MANIFEST_FILE)
    for path in plan.whole:
        if path not in in_index:
            remove(path)
    for folder in _empty_folders(plan):
        folder.rmdir()


def folders_of_run(graph: RunGraph, run: RecordedRun) -> list[Path]:
    """Return the folders and files that a run made and that go with it, its page among them; links are left out."""
    own = set(run.executions)
    root = Path(graph.home.work_dir)
    artifacts = [graph.folder(artifact) for artifact, maker in graph.makers.items() if maker in own]
    found = [
        *(folder for folder in artifacts if graph.home.former(str(folder)) == graph.home.work_dir),
        *_system_folders(graph, own),
        *_pages(graph, run),
    ]
    return [path for path in found if is_plainly_below(path, root)]


def mark_artifacts(store: mlmd.MetadataStore, artifacts: Iterable[int]) -> None:
    """Mark artifacts as deleted in ML Metadata, in one transaction: no run finds them any more."""
    changed = [artifact for artifact in store.get_artifacts_by_id(list(artifacts)) if artifact.state == _Artifact.LIVE]
    for artifact in changed:
        artifact.state = _Artifact.DELETED
    if changed:
        store.put_artifacts(changed)


def _mark(plan: Plan) -> None:
    """Mark runs and artifacts as deleted in ML Metadata; each call is one transaction."""
    try:
        store = open_store(str(plan.metadata))
        if plan.runs:
            wanted = {run.context for run in plan.runs}
            contexts = [context for context in store.get_contexts_by_type(RUN_CONTEXT) if context.id in wanted]
            for context in contexts:
                context.custom_properties[DELETED_MARK].int_value = 1
            store.put_contexts(contexts)
        mark_artifacts(store, plan.gone)
    except (mlmd.errors.StatusError, RuntimeError) as error:
        reason = describe_failure(error, Path(plan.graph.home.work_dir))
        raise InputError(f"{plan.metadata} can't be updated: {reason.message}", code=reason.code) from error


def _home(graph: RunGraph) -> Path:
    """Return the pipeline's folder."""
    return Path(graph.home.work_dir) / "pipelines" / graph.home.pipeline


def _pages(graph: RunGraph, run: RecordedRun) -> list[Path]:
    """Return the files of a run's page and of its entry in the index."""
    return [_home(graph) / name for name in page_names(run.name)]


def _system_folders(graph: RunGraph, executions: set[int]) -> Iterator[Path]:
    """Yield the folders that TFX keeps for itself of executions; that of one taken from the cache was never made."""
    root = _home(graph) / _ARTIFACTS
    for execution in sorted(executions):
        if execution in graph.nodes:
            yield root / graph.nodes[execution] / ".system" / "executor_execution" / str(execution)


def _schemas(graph: RunGraph, retention: Retention) -> Iterator[Path]:
    """Yield the folders of schemas that only deleted runs imported: the cache compares the paths of the others."""
    kept = {_schema_of(graph, execution) for execution in graph.executions_of(retention.kept)}
    schemas = {_schema_of(graph, execution) for execution in graph.executions_of(retention.deleted)}
    root = _home(graph) / _SCHEMA
    yield from sorted(file.parent for file in schemas - kept if file is not None and file.parent.parent == root)


def _schema_of(graph: RunGraph, execution: int) -> Path | None:
    found = graph.executions[execution]
    for properties in (found.properties, found.custom_properties):
        if _SCHEMA_PROPERTY in properties:
            return Path(properties[_SCHEMA_PROPERTY].string_value)
    return None


def _empty_folders(plan: Plan) -> Iterator[Path]:
    """Yield the empty folders that the driver of a node, such as ExampleGen's, leaves of each run."""
    root = Path(plan.graph.home.work_dir)
    for node in sorted(set(plan.graph.nodes.values())):
        folder = _home(plan.graph) / _ARTIFACTS / node / ".system" / "driver_execution"
        if is_plainly_below(folder, root):
            for entry in entries(folder):
                if entry.name.isdecimal() and not entry.is_symlink() and entry.is_dir() and not any(entry.iterdir()):
                    yield entry


def _is_left(path: Path) -> bool:
    """Return whether a path, or what an earlier removal that was killed left of it, is there."""
    return path.exists() or path.with_name(f"{ASIDE_PREFIX}{path.name}").exists()
