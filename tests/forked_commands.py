"""Commands in forks of one process that has imported them, each with a standard output of its own.

Run as a script, it reads a request a line, JSON of `Request`, and answers with the exit code. A fork ends as any Python
process does, so that what would only fail at exit does fail.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

NO_READER = "no reader"
"""A standard output that is a pipe which nobody reads any more."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and its standard error."""

    code: int
    errors: str


class Commands:
    """The process that forks.

    Parameters
    ----------
    scratch
        A folder for standard errors.
    preloaded
        Modules to import beforehand.
    """

    def __init__(self, scratch: Path, preloaded: Sequence[str]) -> None:
        self._errors = scratch / "errors"
        self._process = subprocess.Popen(
            [sys.executable, __file__, *preloaded],
            cwd=ROOT,
            # As users have it: without a buffer, faults come up elsewhere.
            env={**os.environ, "PYTHONUNBUFFERED": "", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, name: str, arguments: Sequence[object], output: str) -> Ended:
        """Run `main` (or `run`) of a module with a standard output: a file's name, or `NO_READER`."""
        request = [name, [str(argument) for argument in arguments], output, str(self._errors)]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Ended(code, self._errors.read_text(encoding="utf-8", errors="replace"))

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def commands(scratch: Path, preloaded: Sequence[str]) -> Iterator[Commands]:
    """Give a process that has imported modules, and end it afterwards."""
    started = Commands(scratch, preloaded)
    try:
        yield started
    finally:
        started.close()


def _serve(preloaded: Sequence[str]) -> None:
    from data.environment import prepare_environment

    prepare_environment()
    for name in preloaded:
        importlib.import_module(name)
    # At its end a process looks through all that it has imported for what is of no use: seconds, in each fork.
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        name, arguments, output, errors = json.loads(line)
        child = os.fork()
        if child == 0:
            _lead(output, errors)
            module = importlib.import_module(name)
            sys.exit(getattr(module, "run" if name == "data.generate" else "main")(arguments))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _lead(output: str, errors: str) -> None:
    """Have standard output and standard error lead where a request wants them."""
    if output == NO_READER:
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(output, os.O_WRONLY)
    os.dup2(writer, 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)


if __name__ == "__main__":
    _serve(sys.argv[1:])
