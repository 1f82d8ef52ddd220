"""The command, as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options.pop("python", ()), str(ROOT / "local_runner.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", check=False, **options)


def assert_refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    for part in said:
        assert part in done.stderr


def test_help_answers_in_less_than_a_second_and_loads_no_library(tmp_path):
    # The best of three: the machine may be busy with something else.
    best = float("inf")
    for _ in range(3):
        started = time.monotonic()
        done = run("--help", cwd=tmp_path)
        best = min(best, time.monotonic() - started)
    assert best < 1
    assert done.returncode == 0
    for option in (
        "--config",
        "--release",
        "--source",
        "--split",
        "--work-dir",
        "--from-node",
        "--no-cache",
        "--beam-arg",
    ):
        assert option in done.stdout
    imported = run("--help", cwd=tmp_path, python=("-X", "importtime")).stderr
    assert "argparse" in imported
    for library in ("tensorflow", "tfx", "apache_beam", "numpy"):
        assert f" {library}\n" not in imported


@pytest.mark.parametrize("arguments", [["--relaese", "sample"], ["sample"], ["--from-node"]])
def test_a_bad_argument_is_named_with_exit_code_2(tmp_path, arguments):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("local_runner.py: error: ")
    assert arguments[0] in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "sampel"], ["'sampel'", "sample", "tutorial"]),
        (["--config", "missing.yaml"], ["missing.yaml"]),
        (["--config", "wrong.yaml"], ["wrong.yaml", "unknown setting `training.epoch`"]),
        (["--release", "ml-2m"], ["there is no release 'ml-2m'; known are ml-1m"]),
        (["--release", "sample", "--split", "sideways"], ["sideways"]),
        (["--source", "somewhere"], ["--source somewhere needs --release"]),
        (["--release", "ml-100k", "--source", "nowhere.zip"], ["nowhere.zip"]),
        (["--release", "sample", "--work-dir", "a-file"], ["a-file"]),
    ],
)
def test_what_can_not_be_used_is_refused_in_one_line(tmp_path, arguments, said):
    (tmp_path / "wrong.yaml").write_text("name: wrong\ndata: {release: sample}\ntraining: {epoch: 3}\n")
    (tmp_path / "a-file").write_text("")
    where = [] if "--work-dir" in arguments else ["--work-dir", tmp_path / "runs"]
    assert_refused(run(*arguments, *where, cwd=tmp_path), *said)


def test_a_wrong_configuration_leaves_no_trace(tmp_path):
    run("--config", "sampel", "--work-dir", "runs", cwd=tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("/missing/private.pem", "the key /missing/private.pem can't be read: No such file or directory [M23]"),
        ("private.pem", "`publish.private_key` is 'private.pem'"),
    ],
    ids=["missing", "not a full path"],
)
def test_a_key_that_can_not_be_used_is_told_of_before_anything_is_done(tmp_path, key, said):
    setting = ("--set", f"publish.private_key={key}")
    assert_refused(run("--config", "sample", "--work-dir", "runs", *setting, cwd=tmp_path), said)
    assert not (tmp_path / "runs").exists()


def test_a_second_run_in_the_same_work_directory_is_told_so(tmp_path):
    (tmp_path / "runs").mkdir()
    with FileLock(tmp_path / "runs" / ".lock"):
        done = run("--release", "sample", "--work-dir", "runs", cwd=tmp_path)
    assert_refused(done, "another run is at work in", str(tmp_path / "runs"))


def test_without_arguments_and_network_the_sample_is_run_and_said_so(tmp_path):
    # Nothing is cached in an empty home, nothing answers at a closed port, and the held lock ends the run early.
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("XDG_", "MOVIELENS"))
    }
    (tmp_path / "runs").mkdir()
    started = time.monotonic()
    with FileLock(tmp_path / "runs" / ".lock"):
        done = run("--work-dir", "runs", cwd=tmp_path, env={**environment, **offline})
    assert time.monotonic() - started < 15
    assert done.stdout == "ml-1m is neither cached nor to be downloaded from here: running the generated sample\n"
