"""Beam's own job server and a pool of workers, in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

ROOT = Path(__file__).resolve().parent.parent

JOB_SERVER = "apache_beam.runners.portability.local_job_service_main"
WORKER_POOL = "apache_beam.runners.worker.worker_pool_main"

POOL_APART = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path
from forked_runs import mount_small_disk
mount_small_disk(Path({folder!r}), 1 << 20)
from apache_beam.runners.worker import worker_pool_main
worker_pool_main.main(["pool", *sys.argv[1:]])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(
    module: str | list[str], port_flag: str, environment: dict[str, str], log: Path | None = None
) -> Iterator[int]:
    """Run a server, a module or a command, until the block ends; what it writes goes to a file, or nowhere."""
    port = free_port()
    command = [sys.executable, "-m", module] if isinstance(module, str) else module
    command = [*command, port_flag, str(port)]
    with (log or Path(os.devnull)).open("w") as written:
        process = subprocess.Popen(command, env=environment, stdout=written, stderr=written)
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


def worker_environment() -> dict[str, str]:
    """Return the environment of a pool: it starts workers through `PATH`, and they have to find the project."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def portable(jobs: int, pool: int) -> list[str]:
    """Return the options of a job server and of a pool of workers."""
    flags = [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{jobs}",
        "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{pool}",
    ]
    return [f"--beam-arg={flag}" for flag in flags]


def flags(arguments: list[str]) -> list[str]:
    """Return a command's options as Beam has them."""
    return [argument.removeprefix("--beam-arg=") for argument in arguments]


def jobs_done(arguments: list[str]) -> int:
    """Return how many jobs a server that a command's options name has done."""
    (address,) = (flag.partition("=")[2] for flag in flags(arguments) if flag.startswith("--job_endpoint="))
    with grpc.insecure_channel(address) as channel:
        jobs = beam_job_api_pb2_grpc.JobServiceStub(channel).GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info
    return sum(job.state == beam_job_api_pb2.JobState.DONE for job in jobs)


@contextmanager
def engine(hidden: Path | None = None) -> Iterator[list[str]]:
    """Run a job server and a pool of workers, from which a folder may be hidden; yield a command's options for them."""
    environment = worker_environment()
    pool: str | list[str] = WORKER_POOL if hidden is None else _pool_apart(hidden)
    with serving(JOB_SERVER, "-p", environment) as jobs, serving(pool, "--service_port", environment) as workers:
        yield portable(jobs, workers)


def _pool_apart(hidden: Path) -> list[str]:
    may_mount = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import forked_runs; forked_runs._own_mounts()"
    )
    if subprocess.run([sys.executable, "-c", may_mount], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("needs the right to mount a disk")
    return [sys.executable, "-c", POOL_APART.format(tests=str(ROOT / "tests"), folder=str(hidden))]
