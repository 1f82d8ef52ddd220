"""What each task of a run says of itself, in a folder that outlives it: `<folder>/<run>/<task>.json`.

The backend's own word for how a run ended is unreliable (kubeflow/pipelines #10917, #13321), and its API doesn't know
why a task failed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"


@dataclass(frozen=True)
class TaskState:
    """How far a task is.

    Attributes
    ----------
    state
        `RUNNING`, `SUCCEEDED` or `FAILED`. A task that was killed stays `RUNNING`.
    reason
        Why it failed, in one line; empty for others.
    metrics
        What it put out as `system.Metrics`.
    ends_run
        Whether there is nothing to do for the tasks that follow, so that the backend leaves them out.
    """

    state: str
    reason: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    ends_run: bool = False


@dataclass(frozen=True)
class RunEnd:
    """How a run ended.

    Attributes
    ----------
    state
        `SUCCEEDED` or `FAILED`.
    failed_task
        The first task that failed or never ended, by the order of the tasks; None where all did.
    reason
        Why, in one line.
    metrics
        Of all tasks.
    """

    state: str
    failed_task: str | None = None
    reason: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)


def locate(uris: Iterable[str], pipeline: str) -> tuple[str, str] | None:
    """Return the run's id and the task's name from where a task puts its outputs; None if no URI holds them.

    Parameters
    ----------
    uris
        Of the outputs: `<root>/<pipeline>/<run id>/<task>/...`.
    pipeline
        The pipeline's name.

    Examples
    --------
    >>> locate(["minio://mlpipeline/root/next-movie/1f3/Trainer/77/model"], "next-movie")
    ('1f3', 'Trainer')
    """
    for uri in uris:
        _, found, rest = uri.rpartition(f"/{pipeline}/")
        parts = rest.split("/")
        if found and len(parts) > 1 and all(parts[:2]):
            return parts[0], parts[1]
    return None


def write_state(folder: Path, run_id: str, task: str, state: TaskState) -> None:
    """Keep a task's state; a reader sees the one before or this one.

    Raises
    ------
    OSError
        The folder can't be written.
    """
    file = folder / run_id / f"{task}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_text(json.dumps(asdict(state)), encoding="utf-8")
    scratch.replace(file)


def read_states(folder: Path, run_id: str) -> dict[str, TaskState]:
    """Return the states of a run's tasks by name; what can't be read is left out."""
    found = ((file.stem, _read(file)) for file in sorted((folder / run_id).glob("[!.]*.json")))
    return {task: state for task, state in found if state is not None}


def _read(file: Path) -> TaskState | None:
    try:
        return TaskState(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def conclude(states: Mapping[str, TaskState], tasks: Iterable[str], never_cached: Iterable[str]) -> RunEnd:
    """Return how a run ended.

    Parameters
    ----------
    states
        What its tasks left.
    tasks
        All tasks, each after those that it waits for.
    never_cached
        Those that leave a state in every run: the backend's cache answers for none of them.
    """
    metrics = {name: value for state in states.values() for name, value in state.metrics.items()}
    needed = set(never_cached)
    for task in tasks:
        state = states.get(task)
        if state is not None and state.ends_run:
            return RunEnd(SUCCEEDED, metrics={**metrics, "decision": "nothing to do"})
        if state is not None and state.state == FAILED:
            return RunEnd(FAILED, task, state.reason, metrics)
        if state is not None and state.state == RUNNING:
            return RunEnd(FAILED, task, "it was killed, for its memory or its time perhaps: see its pod", metrics)
        if state is None and task in needed:
            return RunEnd(FAILED, task, "it never began: see its pod, or what comes before it", metrics)
    return RunEnd(SUCCEEDED, metrics=metrics)
