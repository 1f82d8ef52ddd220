"""A real HTTP server of a published model, KServe with TensorFlow Serving's paths, in an environment of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT

SERVER = ROOT / "tests" / "serving" / "kserve_server.py"
PACKAGES = ("kserve==0.15.2", "tensorflow==2.16.2")
"""What the server's environment holds."""

NAME = "next-movie"
"""Under which the model is served."""

_START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A running server: its base URL, and the process."""

    url: str
    pid: int


@contextlib.contextmanager
def running_server(python: Path, model: Path) -> Iterator[Server]:
    """Serve a SavedModel on a free port of this machine until the block ends.

    Raises
    ------
    RuntimeError
        The server did not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(python), str(SERVER), str(port), NAME, str(model)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process)
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/v1/models/{NAME}", timeout=5):  # noqa: S310, our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start within {_START_SECONDS} s")
