"""The same pipeline on Beam's portable runner, with workers in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _serving(module: str, port_flag: str, environment: dict[str, str]) -> Iterator[int]:
    """Run one of Beam's servers until the block ends."""
    port = _free_port()
    command = [sys.executable, "-m", module, port_flag, str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, f"{module} ended"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.slow
def test_separate_workers_give_the_same_bytes(small_release: Path, tmp_path: Path):
    # The pool starts workers through `PATH`, and they have to find this environment and the project.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    arguments = ["--release", "ml-latest-small", "--source", str(small_release), "--shards", "3"]
    command = [sys.executable, "-m", "data.generate", *arguments]
    subprocess.run([*command, "--output", str(tmp_path / "here")], cwd=ROOT, env=environment, check=True)
    with (
        _serving("apache_beam.runners.portability.local_job_service_main", "-p", environment) as jobs,
        _serving("apache_beam.runners.worker.worker_pool_main", "--service_port", environment) as pool,
    ):
        flags = [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool}",
        ]
        beam_args = [f"--beam-arg={flag}" for flag in flags]
        there = [*command, *beam_args, "--output", str(tmp_path / "there")]
        subprocess.run(there, cwd=ROOT, env=environment, check=True, timeout=240)
    for file in sorted((tmp_path / "here").iterdir()):
        assert (tmp_path / "there" / file.name).read_bytes() == file.read_bytes()
