"""`serve.py` as a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forks import Fork, said_files, start_python, wait_or_kill

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120


@dataclass
class RunningServer:
    """A server: its address, its model's name, the process, and what this has said."""

    url: str
    name: str
    process: subprocess.Popen[bytes] | Fork
    output: Path
    errors: Path

    def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the content, JSON or text."""
        return self._ask(urllib.request.Request(self.url + path))  # noqa: S310

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Return the status and the content of the answer to JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        return self._ask(urllib.request.Request(self.url + path, content, headers))  # noqa: S310

    def predict(self, body: Any, where: str = "") -> tuple[int, Any]:
        """Ask TensorFlow Serving's path."""
        return self.post(f"/v1/models/{self.name}{where}:predict", body)

    def wait_for_version(self, version: int) -> None:
        """Wait until a version is served."""
        deadline = time.monotonic() + _SECONDS
        while self.get("/healthz")[1].get("version") != version:
            assert time.monotonic() < deadline, f"version {version} is not served"
            time.sleep(0.1)

    def _ask(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                status, content = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content.decode()


@contextlib.contextmanager
def running(*arguments: str, fresh: bool = False) -> Iterator[RunningServer]:
    """Run the command until the block ends, in a fork of a process that has loaded TensorFlow, or in a fresh Python."""
    words = [str(ROOT / "serve.py"), "--port", "0", *arguments]
    with said_files() as (output, errors):
        process = _start(words, output, errors) if fresh else start_python(words, output, errors)
        try:
            said = ""
            deadline = time.monotonic() + _SECONDS
            while "stop with Ctrl-C\n" not in said:
                ended = process.poll() is not None
                said = output.read_text() if output.exists() else ""
                wrong = errors.read_text() if errors.exists() else ""
                assert not ended and time.monotonic() < deadline, (said, wrong)
                time.sleep(0.02)
            found = re.search(r"predict +(http://[^/]+)/v1/models/(\S+):predict", said)
            assert found, said
            yield RunningServer(found[1], found[2], process, output, errors)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            wait_or_kill(process, 60)


def _start(words: list[str], output: Path, errors: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as said, errors.open("wb") as wrong:
        return subprocess.Popen([sys.executable, *words], stdout=said, stderr=wrong)
