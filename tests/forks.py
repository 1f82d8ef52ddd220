"""Processes as forks of one that has imported what they need, in place of fresh interpreters.

Importing TFX takes a process some fifteen seconds of CPU, and TensorFlow five. A fork inherits what is imported, and
else has what a process of its own has: memory, exit code, standard output and standard error; and it can be killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import multiprocessing
import os
import pickle
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import absl.logging

ROOT = Path(__file__).resolve().parent.parent

_PRELOADED = [
    "local_runner",
    "serve",
    "pipeline.pipeline",
    "pipeline.local",
    "pipeline.runs.report",
    "pipeline.runs.summary",
    "pipeline.kubeflow.entrypoint",
    "pipeline.kubeflow.tfx_internals",
    "serving.http.app",
    "trainer_module.trainer",
    "components.evaluation.retrieval_metrics",
]
_POLL_SECONDS = 0.01


class Fork:
    """A process that a zygote forked, with those of `subprocess.Popen`'s methods that are needed."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self._zygote = zygote
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.ask(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + timeout if timeout is not None else None
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """A fork of this process, made before what is imported is used here, that forks again whenever it is asked to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours, theirs = multiprocessing.Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fork() == 0:
            self._ours.close()
            try:
                _serve(theirs)
            finally:
                os._exit(0)
        theirs.close()

    def start(self, target: Callable[..., object], *arguments: object) -> Fork:
        """Call a function in a fork, whose exit code is 0, 1 after an exception, or that of `sys.exit`."""
        return Fork(self, self.ask(pickle.dumps((target, arguments))))

    def ask(self, request: bytes | int) -> Any:
        """Send a call that a fork is to make, and return its process's id; or an id, and return the exit code."""
        with self._lock:
            self._ours.send(request)
            return self._ours.recv()


def _serve(requests: Connection) -> None:
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_capture()
    gc.freeze()
    children: dict[int, BaseProcess] = {}
    with contextlib.suppress(EOFError):
        while True:
            request = requests.recv()
            if isinstance(request, int):
                requests.send(children[request].exitcode)
                continue
            child = multiprocessing.get_context("fork").Process(target=_call, args=(request, requests, interrupted))
            child.start()
            children[child.pid] = child
            requests.send(child.pid)
    # The tests are over, or were killed: nothing that they started is left.
    for child in children.values():
        if child.is_alive():
            child.kill()


def _leave_capture() -> None:
    """Write to this process's own streams, and have logs do so, where pytest has others in their places."""
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    handlers = [handler for logger in loggers for handler in logger.handlers]
    for handler in [*handlers, absl.logging.get_absl_handler().python_handler]:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setStream(sys.stderr)


def _call(request: bytes, requests: Connection, interrupted: Any) -> None:
    requests.close()
    signal.signal(signal.SIGINT, interrupted)
    target, arguments = pickle.loads(request)  # noqa: S301, our own
    target(*arguments)


@cache
def zygote() -> Zygote:
    """Return the process that forks for the whole session of tests.

    It is made before the first test (`conftest.py`), since what is imported here may not have been used yet.

    Raises
    ------
    RuntimeError
        TensorFlow runs its threads already, which a fork would lack.
    """
    for name in _PRELOADED:
        importlib.import_module(name)
    from tensorflow.python.eager import context

    if context.context()._context_handle is not None:
        raise RuntimeError("a module of tests uses TensorFlow where it is imported: do so in a test, or in a fixture")
    return Zygote()


def start_python(
    words: Sequence[object],
    output: Path,
    errors: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    group: bool = True,
    parent: Zygote | None = None,
) -> Fork:
    """Start what `python WORDS` would, the words being `[-I] SCRIPT`, `-m MODULE` or `-c CODE` and arguments.

    Parameters
    ----------
    output, errors
        What standard output and standard error are appended to.
    environment
        All of it; None for that of this process.
    folder
        Where it runs.
    group
        Whether it leads a group of processes of its own.
    parent
        What forks; None for the session's.
    """
    given = dict(os.environ if environment is None else environment)
    return (parent or zygote()).start(run_python, [str(word) for word in words], given, folder, output, errors, group)


def run_python_to_its_end(
    words: Sequence[object], timeout: float = 600, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run what `start_python` starts, for so many seconds at most."""
    with said_files() as files:
        code = wait_or_kill(start_python(words, *files, **options), timeout)
        return subprocess.CompletedProcess(words, code, *(file.read_text(errors="replace") for file in files))


def wait_or_kill(process: Fork | subprocess.Popen[bytes], timeout: float) -> int:
    """Return a process's exit code; after the timeout in seconds kill it and raise `subprocess.TimeoutExpired`."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextlib.contextmanager
def said_files() -> Iterator[tuple[Path, Path]]:
    """Yield names of files for standard output and standard error, which are removed in the end."""
    with tempfile.TemporaryDirectory(prefix="fork-") as scratch:
        yield Path(scratch, "output"), Path(scratch, "errors")


def write_to(output: Path, errors: Path) -> None:
    """Have this process's standard output and standard error be appended to files."""
    for path, descriptor in ((output, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), descriptor)


def run_python(
    words: list[str], environment: dict[str, str], folder: Path, output: Path, errors: Path, group: bool
) -> None:
    """Do in this process what `python WORDS` does in one of its own."""
    write_to(output, errors)
    if group:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    kind, *rest = words[1:] if words[0] == "-I" else words
    if kind in ("-m", "-c"):
        what, *arguments = rest
        sys.argv = [kind, *arguments]
        if kind == "-c":
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102, our own
        else:
            # It warns of modules that are loaded already, as they are here.
            warnings.filterwarnings("ignore", module="runpy")
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *rest]
        runpy.run_path(kind, run_name="__main__")
