"""Parameters that a run may set without compiling again.

Kubeflow passes a pipeline's parameters to tasks as inputs of their own. Those that TFX doesn't know of are added to
the compiled tasks, and taken away again by the container's entrypoint, which acts on them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import MutableMapping, Sequence
from typing import Any

DATA_ROOT = "data_root"
"""URI of the data source; there only in pipelines that were compiled with one."""

BEAM_ARGS = "beam_args"
"""Options for Beam in one string, quoted as for a shell."""

EPOCHS = "epochs"
"""The most epochs of training."""

SPAN = "span"
"""The span to learn from, 0 for the next one; there only in pipelines that learn from spans."""

_PREFIX = "run_"


def task_input(name: str) -> str:
    """Return the name under which a task gets a parameter of the run."""
    return _PREFIX + name


def take_beam_args(parameters: MutableMapping[str, Any]) -> list[str]:
    """Remove the run's Beam options from a task's parameters, and return them.

    Parameters
    ----------
    parameters
        Plain values by name.
    """
    return shlex.split(parameters.pop(task_input(BEAM_ARGS), ""))


def pass_beam_args(parameters: MutableMapping[str, Any], beam_args: Sequence[str]) -> None:
    """Put options for Beam into the parameter of a task that starts Beam itself; TFX hands them to the others."""
    if BEAM_ARGS in parameters:
        parameters[BEAM_ARGS] = shlex.join(beam_args)


def apply_epochs(parameters: MutableMapping[str, Any]) -> None:
    """Move the run's epochs from a task's parameters to where the task's settings hold epochs."""
    epochs = parameters.pop(task_input(EPOCHS), None)
    if epochs is None:
        return
    for name, value in parameters.items():
        content = _json_object(value)
        if content is not None and _set_epochs(content, int(epochs)):
            parameters[name] = json.dumps(content)


def mentions_epochs(parameters: MutableMapping[str, Any]) -> bool:
    """Return whether any of a task's parameters holds the epochs of training."""
    contents = (_json_object(value) for value in parameters.values())
    return any(content is not None and _set_epochs(content, 1) for content in contents)


def _json_object(value: object) -> dict[str, Any] | None:
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        content = json.loads(value)
    except json.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _set_epochs(content: dict[str, Any], epochs: int) -> bool:
    """Set `training.epochs` wherever it stands, and return whether it stands anywhere."""
    found = False
    for name, value in content.items():
        if isinstance(value, dict):
            if name == "training" and "epochs" in value:
                value["epochs"] = epochs
                found = True
            found |= _set_epochs(value, epochs)
    return found
