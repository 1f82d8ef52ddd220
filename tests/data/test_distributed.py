"""The same pipeline on Beam's portable runner, with workers in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.runner import PipelineResult
from beam_servers import (
    JOB_SERVER,
    WORKER_POOL,
    engine,
    free_port,
    fresh_engine,
    portable,
    serving,
    serving_in_a_fork,
    worker_environment,
)
from forks import run_python_to_its_end

from data import generate
from data.beam_jobs import BeamJob, wait_for
from data.beam_options import DEFAULT_ARGS, IN_PROCESS_ARGS, check_job_server
from data.errors import InputError
from data.options import GenerateOptions

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_separate_workers_give_the_same_bytes(small_release: Path, tmp_path: Path):
    environment = worker_environment()
    arguments = ["--release", "ml-latest-small", "--source", str(small_release), "--shards", "3"]
    command = [sys.executable, "-m", "data.generate", *arguments]
    subprocess.run([*command, "--output", str(tmp_path / "here")], cwd=ROOT, env=environment, check=True)
    with fresh_engine() as beam_args:
        there = [*command, *beam_args, "--output", str(tmp_path / "there")]
        subprocess.run(there, cwd=ROOT, env=environment, check=True, timeout=240)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


@pytest.mark.parametrize("option", ["--job_endpoint", "--flink_master"])
def test_a_server_that_is_not_there_is_told_at_once_and_nothing_is_read(tmp_path: Path, capsys, option: str):
    address = f"localhost:{free_port()}"
    asked = ["--release", "sample", "--output", str(tmp_path / "made"), f"--beam-arg={option}={address}"]

    assert generate.run(asked) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: nothing answers at {option} {address} (")
    assert line.endswith("): start the server, or correct the address [A09]")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["somewhere", ":8099", "localhost:", "localhost:99999", "localhost:http"])
def test_an_address_that_is_none_is_refused(address: str):
    with pytest.raises(InputError, match=re.escape(f"--job_endpoint {address} is not HOST:PORT")):
        check_job_server([f"--job_endpoint={address}"])


@pytest.mark.parametrize(
    "beam_args",
    [[], ["--runner=DirectRunner"], ["--job_endpoint", "embed"], ["--flink_master=[local]"], ["--flink_master=[auto]"]],
)
def test_without_a_server_none_is_looked_for(beam_args: list[str]):
    check_job_server(beam_args)


def test_a_server_that_listens_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_job_server([f"--job_endpoint=localhost:{port}"])
        check_job_server(["--flink_master", f"http://localhost:{port}"])


@pytest.mark.slow
def test_workers_that_see_another_disk_are_told_in_one_line_and_the_former_output_stays(
    small_release: Path, tmp_path: Path
):
    shared = tmp_path / "shared"
    done = generate_apart(small_release, shared)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"error: a worker of Beam's doesn't see {shared}: name an output on a file system that all workers share, or a "
        "--temp_location that all workers see [F16]"
    )
    assert "Traceback" not in done.stderr
    assert [path.name for path in shared.iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_workers_that_see_another_disk_work_through_the_temporary_location_and_leave_it_empty(
    small_release: Path, tmp_path: Path
):
    unseen, seen = tmp_path / "unseen", tmp_path / "seen"
    seen.mkdir()
    done = generate_apart(small_release, unseen, f"--beam-arg=--temp_location={seen}", "--shards=3")
    assert done.returncode == 0, done.stderr
    options = GenerateOptions(release="ml-latest-small", shards=3)
    generate.generate(options, tmp_path / "here", source=small_release)
    assert contents(unseen / "made") == contents(tmp_path / "here")
    assert list(seen.iterdir()) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def generate_apart(release: Path, parent: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Generate into a folder that is hidden from the workers."""
    parent.mkdir()
    arguments = ["--release", "ml-latest-small", "--source", str(release), "--output", str(parent / "made"), *options]
    with engine(hidden=parent) as beam_args:
        command = ["-m", "data.generate", *arguments, *beam_args]
        return run_python_to_its_end(command, environment=worker_environment())


@pytest.mark.parametrize(("options", "tracebacks"), [((), 0), (("--verbose",), 1)])
def test_a_job_that_fails_is_one_line_and_the_whole_error_where_that_is_asked_for(
    small_release: Path, tmp_path: Path, options: tuple[str, ...], tracebacks: int
):
    arguments = ["--release", "ml-latest-small", "--source", str(small_release), "--output", str(tmp_path / "made")]
    command = [sys.executable, "-m", "data.generate", *arguments, "--beam-arg=--runner=NoSuchRunner", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)

    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: the job that generates failed on Beam: ")
    assert "NoSuchRunner" in line
    assert done.stderr.count("Traceback (most recent call last):") == tracebacks


def test_a_fault_beside_the_job_is_not_told_as_the_jobs(small_release: Path, tmp_path: Path, monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("data.releases.reading.read_movies", fail)
    options = GenerateOptions(release="ml-latest-small")
    with pytest.raises(ZeroDivisionError):
        generate.generate(options, tmp_path / "made", source=small_release, beam_args=IN_PROCESS_ARGS)


def test_a_job_that_can_not_be_cancelled_is_to_be_ended_on_the_engine():
    class Stubborn(PipelineResult):
        def wait_until_finish(self, duration=None):
            raise KeyboardInterrupt

        def cancel(self):
            raise RuntimeError("the engine\nrefuses")

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        wait_for(Stubborn("RUNNING"), told.append)
    assert told == ["the job can't be cancelled (RuntimeError: the engine refuses): end it on the engine"]


def test_a_job_may_take_longer_than_a_minute_unless_its_owner_says_otherwise():
    def seconds(*own: str) -> int:
        return PipelineOptions([*DEFAULT_ARGS, *own]).view_as(PortableOptions).job_server_timeout

    assert PipelineOptions([]).view_as(PortableOptions).job_server_timeout <= 300, "Beam's own is a minute, or five"
    assert seconds() == 7 * 24 * 60 * 60
    assert seconds("--job_server_timeout=8") == 8


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["*.rows", "train-labels", "*.tfrecord.gz.*"])
def test_a_killed_worker_ends_the_job_in_one_line_and_the_next_run_succeeds(
    small_release: Path, tmp_path: Path, sign: str
):
    """The sign is a file whose presence says how far the job is."""
    output = tmp_path / "made"
    arguments = ["--release", "ml-latest-small", "--source", str(small_release), "--output", str(output)]
    # Enough of them that the job is not over when the first is there.
    arguments += ["--shards", "200"]
    environment = worker_environment()
    with (
        serving_in_a_fork(["-m", JOB_SERVER], "-p") as jobs,
        serving(WORKER_POOL, "--service_port", environment) as pool,
    ):
        # This server doesn't notice that a worker is gone, so that the client has to lose patience.
        patience = "--beam-arg=--job_server_timeout=10"
        command = [sys.executable, "-m", "data.generate", *arguments, *portable(jobs, pool), patience]
        with client_of(command) as client:
            workers: list[int] = []
            signed = False
            while client.poll() is None and not (workers and signed):
                # They are looked for beforehand: the job goes on while `pgrep` looks.
                workers = workers or workers_of(pool)
                signed = bool(list(tmp_path.glob(f".made.partial-*/work/{sign}")))
                time.sleep(0.005)
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            _, errors = client.communicate(timeout=120)
    assert signed, errors
    assert workers, errors
    assert client.returncode == 2, errors
    assert errors.splitlines()[-1].startswith("error: the job that generates failed on Beam: ")
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".made.partial", "made"))] == []

    assert generate.run(arguments) == 0


@contextmanager
def client_of(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a command that asks for a job, and kill it if it is still there when the block ends."""
    client = subprocess.Popen(command, cwd=ROOT, env=worker_environment(), stderr=subprocess.PIPE, encoding="utf-8")
    try:
        yield client
    finally:
        client.kill()
        client.wait()


def workers_of(pool: int) -> list[int]:
    """Return the processes that a pool started."""
    # The oldest: what the pool is about to start bears its command line for a moment.
    (server,) = found("--oldest", "--full", f"worker_pool_main --service_port {pool}")
    return found("--parent", str(server))


def found(*options: str) -> list[int]:
    """Return the processes that `pgrep` finds."""
    done = subprocess.run(["pgrep", *options], capture_output=True, encoding="utf-8", check=False)
    return [int(number) for number in done.stdout.split()]


class Submitted:
    """A job that is known to its client, and whether it was cancelled."""

    cancelled = False

    def wait_until_finish(self) -> None:
        raise AssertionError("it is waited for")

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize(("number", "ended"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_while_a_job_is_submitted_cancels_it_once_it_can_be(monkeypatch, tmp_path, number, ended):
    job = Submitted()

    def submit(_: beam.Pipeline) -> Submitted:
        signal.raise_signal(number)
        return job

    monkeypatch.setattr(beam.Pipeline, "run", submit)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:1"]
    with pytest.raises(ended):
        BeamJob("writes", tmp_path, flags, print).run(lambda pipeline: None)
    assert job.cancelled
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_ctrl_c_while_a_job_is_submitted_acts_at_once(monkeypatch, tmp_path):
    def submit(_: beam.Pipeline) -> Submitted:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second Ctrl-C is held back")

    monkeypatch.setattr(beam.Pipeline, "run", submit)
    with pytest.raises(KeyboardInterrupt):
        BeamJob("writes", tmp_path, ["--runner=PortableRunner", "--job_endpoint=localhost:1"], print).run(
            lambda pipeline: None
        )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_job_whose_client_goes_away_is_cancelled(small_release: Path, tmp_path: Path, number: int, code: int):
    output = tmp_path / "made"
    arguments = ["--release", "ml-latest-small", "--source", str(small_release), "--output", str(output)]
    environment = worker_environment()
    with (
        serving_in_a_fork(["-m", JOB_SERVER], "-p") as jobs,
        serving_in_a_fork(["-c", POOL_WITHOUT_WORKERS], "--service_port") as pool,
        grpc.insecure_channel(f"localhost:{jobs}") as channel,
    ):
        server = beam_job_api_pb2_grpc.JobServiceStub(channel)
        command = [sys.executable, "-m", "data.generate", *arguments, *portable(jobs, pool)]
        client = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, encoding="utf-8")
        wait_for_state(server, {"RUNNING"})
        client.send_signal(number)
        _, errors = client.communicate(timeout=60)
        wait_for_state(server, {"CANCELLING", "CANCELLED"})
    assert client.returncode == code, errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".made.partial", "made"))] == []


def wait_for_state(server: beam_job_api_pb2_grpc.JobServiceStub, states: set[str]) -> None:
    """Wait until the server's one job is in one of some states."""
    for _ in range(600):
        jobs = server.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info
        if any(beam_job_api_pb2.JobState.Enum.Name(job.state) in states for job in jobs):
            return
        time.sleep(0.1)
    raise AssertionError(f"no job came to {states}")


POOL_WITHOUT_WORKERS = """
import sys
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker import worker_pool_main
worker_pool_main.BeamFnExternalWorkerPoolServicer.StartWorker = lambda *_: beam_fn_api_pb2.StartWorkerResponse()
worker_pool_main.main(["pool", *sys.argv[1:]])
"""
