"""What each run decided, published and takes of the disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2

from components.naming import DATA_GATE
from pipeline.defaults import METADATA_FILE
from pipeline.housekeeping.deletion import folders_of_run
from pipeline.housekeeping.removal import size
from pipeline.housekeeping.run_graph import BLESSING_TYPE, PUSHED_TYPE, RecordedRun, RunGraph

_Execution = metadata_store_pb2.Execution


@dataclass(frozen=True)
class ListedRun:
    """A run in a line.

    Attributes
    ----------
    run
        Its name.
    began
        In ISO 8601, UTC.
    decision
        published; blessed (and not published); not blessed; data refused; failed, or unfinished, with the step.
    version
        The published version, by this run or one before whose model it found again; None for none.
    version_is_there
        Whether that version has not been removed since.
    bytes
        Of what it made; what it took from the cache counts for the run that made it.
    """

    run: str
    began: str
    decision: str
    version: int | None
    version_is_there: bool
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return its attributes by name."""
        return asdict(self)


def list_runs(graph: RunGraph) -> list[ListedRun]:
    """Return the runs that are not deleted, oldest first."""
    return [_listed(graph, run) for run in graph.runs if not run.deleted]


def size_of_pipeline(graph: RunGraph) -> tuple[int, int]:
    """Return the bytes of all that lies in a pipeline's folder, and those of its metadata among them."""
    folder = Path(graph.home.work_dir) / "pipelines" / graph.home.pipeline
    return size([folder]), size([folder / METADATA_FILE])


def _listed(graph: RunGraph, run: RecordedRun) -> ListedRun:
    made = {name: artifact for execution in run.executions for name, artifact in _marks(graph, execution)}
    pushed, blessing = (graph.artifacts.get(made.get(kind, 0)) for kind in (PUSHED_TYPE, BLESSING_TYPE))
    version, folder = _version(pushed)
    return ListedRun(
        run=run.name,
        began=run.began.isoformat(timespec="seconds"),
        decision=_decision(graph, run, published=version is not None, blessing=blessing),
        version=version,
        version_is_there=folder is not None and folder.is_dir(),
        bytes=size(folders_of_run(graph, run)),
    )


def _marks(graph: RunGraph, execution: int) -> list[tuple[str, int]]:
    return [(graph.kinds[artifact], artifact) for _, artifact in graph.made.get(execution, [])]


def _version(pushed: metadata_store_pb2.Artifact | None) -> tuple[int | None, Path | None]:
    """Return the version and its folder that a publication names; None for each where nothing was pushed."""
    properties = pushed.custom_properties if pushed is not None else {}
    if "pushed_version" not in properties or not properties["pushed_version"].string_value.isdecimal():
        return None, None
    return int(properties["pushed_version"].string_value), Path(properties["pushed_destination"].string_value)


def _decision(
    graph: RunGraph, run: RecordedRun, *, published: bool, blessing: metadata_store_pb2.Artifact | None
) -> str:
    for execution in run.executions:
        if graph.executions[execution].last_known_state == _Execution.FAILED:
            node = graph.nodes.get(execution, "")
            return "data refused" if node == DATA_GATE else f"failed: {node}"
    if published:
        return "published"
    if blessing is not None and "blessed" in blessing.custom_properties:
        return "blessed" if blessing.custom_properties["blessed"].int_value == 1 else "not blessed"
    return "unfinished"
