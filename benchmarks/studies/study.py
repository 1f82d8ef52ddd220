"""A study of Optuna's, asked and told from here."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from data.errors import InputError

_SCRIPT = Path(__file__).with_name("ask_optuna.py")


@dataclass(frozen=True)
class Range:
    """Values of a setting from `low` to `high`, both included; whole numbers where both are; `log` by the logarithm."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, "Sequence[Any] | Range"]
"""What may be chosen for each setting, by its dotted name: one of some values, or any of a range."""


@dataclass(frozen=True)
class Trial:
    """Values to be tried.

    Attributes
    ----------
    number
        Of the study, from 0.
    values
        By the settings' dotted names.
    same_as
        The number of an earlier trial of the same values, whose result counts for this one, which is over; or None.
    value
        That result, or None.
    """

    number: int
    values: dict[str, Any]
    same_as: int | None = None
    value: float | None = None


class Study:
    """A study that is open; larger values are better. See `opened`."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self._process = process
        self._log = log
        self.tried: int = self._read()["tried"]
        """Trials that had ended when it was opened."""

    def ask(self) -> Trial:
        """Return what to try next."""
        answer = self._answer({"ask": None})
        return Trial(answer["number"], _decoded(answer["values"]), answer.get("as"), answer.get("value"))

    def should_prune(self, number: int, step: int, value: float) -> bool:
        """Report a trial's value at a step, and return whether it is not worth going on with."""
        return self._answer({"report": [number, step, value]})["prune"]

    def tell(self, number: int, value: float | None) -> None:
        """End a trial with its value; None if it failed."""
        self._answer({"tell": [number, value]})

    def prune(self, number: int) -> None:
        """End a trial that is not worth going on with."""
        self._answer({"prune": number})

    def best(self) -> Trial | None:
        """Return the complete trial of the largest value; None if none is complete."""
        answer = self._answer({"best": None})
        return None if answer is None else Trial(answer["number"], _decoded(answer["values"]), value=answer["value"])

    def _answer(self, question: Mapping[str, Any]) -> Any:
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failure() from None
        return self._read()

    def _read(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise self._failure()
        return json.loads(line)

    def _failure(self) -> InputError:
        self._process.wait()
        self._log.seek(0)
        said = self._log.read().strip().splitlines() or [f"exit code {self._process.returncode}"]
        return InputError(f"Optuna's process ended: {said[-1]}", code="B07")


@contextmanager
def opened(
    file: Path, name: str, space: Space, *, first: Mapping[str, Any], seed: int, python: Path
) -> Iterator[Study]:
    """Open a study, which is begun if it is not there, in Optuna's environment; what it was told is kept at once.

    Parameters
    ----------
    file
        SQLite file, made if it isn't there. It holds any number of studies.
    name
        Of the study. Under one name the space may not change.
    space
        What may be chosen.
    first
        What to try first, if the space holds it.
    seed
        Fixes what is chosen.
    python
        The environment's.

    Raises
    ------
    InputError
        Another search has the file, or Optuna's process ended.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_name(f".{file.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another search is at work in {file}: wait for it, or name another --work-dir", code="B08"
        ) from error
    request = {
        "file": str(file.resolve()),
        "study": name,
        "space": {setting: _encoded(choice) for setting, choice in space.items()},
        "first": _first(space, first),
        "seed": seed,
        # The same pass of a shorter schedule is further on: passes of different schedules can't be compared.
        "prunes": "training.epochs" not in space,
    }
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        # In a session of its own: Ctrl-C ends the search, with the end of whose questions it ends.
        process = subprocess.Popen(
            [str(python), "-I", str(_SCRIPT), json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            start_new_session=True,
        )
        with lock, process:
            yield Study(process, log)


def _encoded(choice: Sequence[Any] | Range) -> dict[str, Any]:
    """Return the choices in a form that Optuna can store: of plain types, by which it knows them again."""
    if isinstance(choice, Range):
        return {"low": choice.low, "high": choice.high, "log": choice.log}
    return {"choices": [json.dumps(value) for value in choice]}


def _decoded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.loads(value) if isinstance(value, str) else value for name, value in values.items()}


def _first(space: Space, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return values as Optuna has them; None if the space lacks any of them."""
    found: dict[str, Any] = {}
    for name, choice in space.items():
        value = values[name]
        if isinstance(choice, Range):
            if not isinstance(value, int | float) or not choice.low <= value <= choice.high:
                return None
            found[name] = value
        elif value in choice:
            found[name] = json.dumps(value)
        else:
            return None
    return found
