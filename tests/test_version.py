"""Which code it is: what every command says of it, and where the commit comes from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.version import COMMIT_VARIABLE, PROJECT, __version__, commit

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    *([f"{name}.py"] for name in ("local_runner", "kubeflow_runner", "recommend", "models", "inspect_data", "history")),
    ["-m", "data.generate"],
]

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != COMMIT_VARIABLE}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of the code that is in no repository."""
    (tmp_path / "outer" / "project" / "data").mkdir(parents=True)
    for name in ("__init__.py", "version.py"):
        shutil.copy(ROOT / "data" / name, tmp_path / "outer" / "project" / "data")
    return tmp_path / "outer" / "project"


@pytest.fixture
def clone(copy: Path) -> Path:
    """Give a copy of the code in a repository of its own, with one commit."""
    git(copy, "init")
    git(copy, "add", ".")
    git(copy, "commit", "--message=first")
    return copy


def commit_of(folder: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from data.version import commit; print(commit())"],
        cwd=folder,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1])
def test_every_command_says_its_version_and_commit_at_once(command: list[str]):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command, "--version"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert time.monotonic() - began < 5
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"next-movie-retrieval {re.escape(__version__)} \(\S+\)\n", done.stdout)
    for library in ("tensorflow", "tfx", "apache_beam", "numpy"):
        assert f" {library}\n" not in done.stderr


def test_name_and_version_are_those_of_the_project_file():
    project = (ROOT / "pyproject.toml").read_text()
    assert project.startswith(f'[project]\nname = "{PROJECT}"\nversion = "{__version__}"\n')


def test_the_commit_is_twelve_digits_of_the_repositorys(clone: Path):
    git(clone, "tag", "--annotate", "--message=one", "v1")
    assert commit_of(clone) == git(clone, "rev-parse", "HEAD")[:12]


def test_a_tracked_file_that_differs_makes_it_dirty_and_a_new_file_does_not(clone: Path):
    clean = git(clone, "rev-parse", "HEAD")[:12]
    (clone / "new.py").write_text("")
    assert commit_of(clone) == clean
    (clone / "data" / "__init__.py").write_text("changed = 1\n")
    assert commit_of(clone) == f"{clean}-dirty"


def test_without_a_repository_the_commit_is_unknown(copy: Path):
    assert commit_of(copy) == "unknown"


def test_a_repository_that_does_not_hold_the_code_is_not_asked(copy: Path):
    git(copy.parent, "init")
    git(copy.parent, "commit", "--allow-empty", "--message=of something else")
    assert commit_of(copy) == "unknown"


def test_a_hook_of_another_repository_does_not_lend_its_own(clone: Path, tmp_path: Path):
    git(tmp_path, "init", "--bare", "other.git")
    assert commit_of(clone, GIT_DIR=str(tmp_path / "other.git")) == git(clone, "rev-parse", "HEAD")[:12]


def test_without_git_the_commit_is_unknown(clone: Path, tmp_path: Path):
    assert commit_of(clone, PATH=str(tmp_path)) == "unknown"


def test_the_environment_stands_in_for_git(clone: Path, copy: Path, monkeypatch: pytest.MonkeyPatch):
    assert commit_of(clone, NEXT_MOVIE_COMMIT="c0ffee123456") == "c0ffee123456"
    assert commit_of(clone, NEXT_MOVIE_COMMIT="") == git(clone, "rev-parse", "HEAD")[:12]
    monkeypatch.setenv(COMMIT_VARIABLE, "c0ffee123456")
    assert commit() == "c0ffee123456"
