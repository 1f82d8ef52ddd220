"""Real HTTP servers of a published model: KServe, in an environment of its own, and this project's `serve.py`."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT

SERVER = ROOT / "tests" / "serving" / "kserve_server.py"
PACKAGES = ("kserve==0.15.2", "tensorflow==2.16.2")
"""What the environment of KServe's holds."""

NAME = "next-movie"
"""Under which KServe has the model."""

_START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A running server: its base URL, the model's path below it, and the process."""

    url: str
    model_path: str
    pid: int


@contextlib.contextmanager
def running_server(python: Path, model: Path) -> Iterator[Server]:
    """Serve a SavedModel by KServe on a free port of this machine until the block ends.

    Raises
    ------
    RuntimeError
        The server did not start.
    """
    port = _free_port()
    command = [str(python), str(SERVER), str(port), NAME, str(model)]
    with _running(command, port, NAME, {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}) as server:
        yield server


@contextlib.contextmanager
def running_serve_py(model: Path) -> Iterator[Server]:
    """Serve the newest version beside a published one by `serve.py`, likewise."""
    port = _free_port()
    command = [sys.executable, str(ROOT / "serve.py"), "--model", str(model.parent), "--port", str(port)]
    with _running(command, port, model.parent.name, {}) as server:
        yield server


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def _running(command: Sequence[str], port: int, name: str, environment: Mapping[str, str]) -> Iterator[Server]:
    process = subprocess.Popen(
        command,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url, path = f"http://127.0.0.1:{port}", f"/v1/models/{name}"
        _wait_until_ready(url + path, process)
        yield Server(url, path, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310, our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start within {_START_SECONDS} s")
