"""Beam's own job server and a pool of workers, in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from forked_runs import can_mount, mount_small_disk
from forks import Fork, Zygote, start_python, write_to, zygote

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import engines  # noqa: E402

JOB_SERVER = "apache_beam.runners.portability.local_job_service_main"
WORKER_POOL = "apache_beam.runners.worker.worker_pool_main"


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
    # In a group of its own, so that its workers end with it, however it ends.
    with (log or Path(os.devnull)).open("w") as written:
        process = subprocess.Popen(command, env=environment, stdout=written, stderr=written, start_new_session=True)
    with _listening(process, port):
        yield port


@contextmanager
def serving_in_a_fork(words: list[str], port_flag: str) -> Iterator[int]:
    """Run what `python WORDS` would, a server, in a fork of a process that has loaded Beam, until the block ends."""
    port, nowhere = free_port(), Path(os.devnull)
    server = start_python([*words, port_flag, port], nowhere, nowhere, environment=worker_environment())
    with _listening(server, port):
        yield port


@contextmanager
def _listening(process: subprocess.Popen[bytes] | Fork, port: int) -> Iterator[None]:
    """Wait until a process listens at a port, and end its group when the block ends."""
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
        yield
    finally:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes] | Fork, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


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


def states_of_jobs(port: int) -> list[str]:
    """Return the states of all jobs that a server was given, as Beam names them."""
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        server = beam_job_api_pb2_grpc.JobServiceStub(channel)
        jobs = server.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info
    return [beam_job_api_pb2.JobState.Enum.Name(job.state) for job in jobs]


def jobs_done(arguments: list[str]) -> int:
    """Return how many jobs a server that a command's options name has done."""
    (address,) = (flag.partition("=")[2] for flag in flags(arguments) if flag.startswith("--job_endpoint="))
    return states_of_jobs(int(address.rpartition(":")[2])).count("DONE")


def built(name: str) -> Path:
    """Return the program of an engine that `tools/engines.py` builds, or skip the test with the reason."""
    try:
        return engines.find(name)
    except engines.EngineUnavailableError as reason:
        pytest.skip(str(reason))


@contextmanager
def prism_server(program: Path, log: Path) -> Iterator[int]:
    """Run Prism, which writes to a file what its clients are not told, and yield its port."""
    with serving([str(program), "-serve_http=false"], "-job_port", worker_environment(), log) as port:
        yield port


@contextmanager
def engine(hidden: Path | None = None) -> Iterator[list[str]]:
    """Run a job server and a pool of workers, from which a folder may be hidden; yield a command's options for them.

    They and the workers are forks of a process that has loaded Beam and TFX; `fresh_engine` has processes of their own.
    """
    if hidden is not None and not can_mount():
        pytest.skip("needs the right to mount a disk")
    pool = free_port()
    workers = zygote().start(_serve_workers, pool, hidden, worker_environment())
    with _listening(workers, pool), serving_in_a_fork(["-m", JOB_SERVER], "-p") as jobs:
        yield portable(jobs, pool)


@contextmanager
def fresh_engine() -> Iterator[list[str]]:
    """Run a job server and a pool of workers, each a Python of its own, as they are outside the tests."""
    environment = worker_environment()
    with serving(JOB_SERVER, "-p", environment) as jobs, serving(WORKER_POOL, "--service_port", environment) as pool:
        yield portable(jobs, pool)


def _serve_workers(port: int, hidden: Path | None, environment: dict[str, str]) -> None:
    os.setsid()
    os.environ.update(environment)
    nowhere = Path(os.devnull)
    write_to(nowhere, nowhere)
    if hidden is not None:
        mount_small_disk(hidden, 1 << 20)
    from apache_beam.runners.worker import worker_pool_main

    # Before the pool's own threads are there.
    parent = Zygote()

    def start(command: list[str], **_: object) -> Fork:
        return start_python(command[1:], nowhere, nowhere, group=False, parent=parent)

    names = {"PIPE": subprocess.PIPE, "TimeoutExpired": subprocess.TimeoutExpired}
    worker_pool_main.subprocess = SimpleNamespace(Popen=start, **names)
    worker_pool_main.main(["pool", "--service_port", str(port)])
