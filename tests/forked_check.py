"""The servable check's process as a fork of one that has loaded TensorFlow already, in place of a fresh interpreter.

Loading TensorFlow takes the check five seconds of each run that made a model. Runs that look at something else spare
them; `run_sample` and the tests of the check itself have the real process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

Start = Callable[..., BaseProcess]
"""Starts a process that calls `target` with `args`, in a fork of one that has loaded TensorFlow and not used it yet."""

Execute = Callable[[list[str], dict[str, str], Path, Path, float], "int | None"]
"""Runs a command with an environment, standard output and standard error, and returns its exit code, or None if it
took more than so many seconds."""


class Zygote:
    """A fork of this process, made before TensorFlow is used here, that forks again whenever a check is asked for."""

    def __init__(self) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        if os.fork() == 0:
            self._ours.close()
            with contextlib.suppress(EOFError):
                while True:
                    theirs.send(execute(multiprocessing.get_context("fork").Process, *theirs.recv()))
            os._exit(0)
        theirs.close()

    def __call__(self, *request: Any) -> int | None:
        self._ours.send(request)
        return self._ours.recv()


def execute(
    start: Start, command: list[str], environment: dict[str, str], output: Path, errors: Path, timeout: float
) -> int | None:
    """Do what `Execute` says, in a process that `start` makes."""
    process = start(target=_run_script, args=(command, environment, output, errors))
    if process.pid is None:
        process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


@contextlib.contextmanager
def forked_check(run: Execute) -> Iterator[None]:
    """Have the servable check execute its command so, until the block ends."""
    from components.serving_check import servable_check

    def run_command(
        command: list[str], *, timeout: float, env: Mapping[str, str], **_: Any
    ) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory(prefix="forked-check-") as folder:
            said = [Path(folder) / name for name in ("output", "errors")]
            code = run(command, dict(env), *said, timeout)
            if code is None:
                raise subprocess.TimeoutExpired(command, timeout)
            return subprocess.CompletedProcess(command, code, *(path.read_text(errors="replace") for path in said))

    stand_in = SimpleNamespace(run=run_command, TimeoutExpired=subprocess.TimeoutExpired)
    with mock.patch.object(servable_check, "subprocess", stand_in):
        yield


def _run_script(command: list[str], environment: dict[str, str], output: Path, errors: Path) -> None:
    """Run the script of `python -I SCRIPT ARGUMENTS`."""
    for path, descriptor in ((output, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    _, _, script, *arguments = command
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
    sys.stdout.flush()
