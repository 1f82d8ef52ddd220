"""The image can't be built where there is no registry; what can be read from its files is held here."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

from data.version import COMMIT_VARIABLE

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def ignored(path: str) -> bool:
    """Apply `.dockerignore` as the engine does: the last pattern that matches a path or a folder above it decides."""
    verdict = False
    parts = path.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keep = pattern.startswith("!")
        pattern = pattern.lstrip("!").rstrip("/")
        anywhere = pattern.removeprefix("**/")
        matches = any(
            (fnmatch.fnmatchcase(prefix, pattern) and prefix.count("/") == pattern.count("/"))
            or (pattern.startswith("**/") and fnmatch.fnmatchcase(prefix.rpartition("/")[2], anywhere))
            for prefix in above
        )
        if matches:
            verdict = not keep
    return verdict


@pytest.mark.parametrize(
    "path",
    [
        "data/generate.py",
        "data/examples/schema.pbtxt",
        "pipeline/kubeflow/entrypoint.py",
        "components/publishing/pusher.py",
        "trainer_module/trainer.py",
        "configs/sample.yaml",
        "kubeflow_runner.py",
        "requirements.txt",
        "requirements-tfx121.txt",
    ],
)
def test_the_image_gets(path: str):
    assert (ROOT / path).is_file()
    assert not ignored(path)


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", "runs/data/x", "tests/conftest.py", "data/__pycache__/a.pyc", ".env"]
)
def test_the_image_does_not_get(path: str):
    assert ignored(path)


def test_everything_that_is_copied_is_there_and_not_ignored():
    sources = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, flags=re.MULTILINE)
    names = [name for line in sources for name in line.split()]
    assert {"data", "serving", "pipeline", "components", "trainer_module", "requirements.txt"} <= set(names)
    for name in names:
        found = list(ROOT.glob(name))
        assert found, name
        assert not any(ignored(path.name) for path in found), name


def test_code_changes_keep_the_layer_of_the_libraries():
    assert DOCKERFILE.index("requirements.txt") < DOCKERFILE.index("COPY data")


def test_the_container_runs_as_nobody_in_particular():
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", DOCKERFILE, flags=re.MULTILINE)


def test_the_code_lies_on_the_path_at_a_fixed_place():
    assert "ENV PYTHONPATH=/app\n" in DOCKERFILE
    assert "WORKDIR /app\n" in DOCKERFILE


def test_the_image_is_told_its_commit_last_so_that_no_other_layer_changes_with_it():
    told = "ARG NEXT_MOVIE_COMMIT=unknown\nENV NEXT_MOVIE_COMMIT=${NEXT_MOVIE_COMMIT}\n"
    assert DOCKERFILE.index(told) > DOCKERFILE.rindex("COPY ")
    assert COMMIT_VARIABLE == "NEXT_MOVIE_COMMIT"
    assert "--build-arg NEXT_MOVIE_COMMIT=" in (ROOT / "docs" / "kubeflow.md").read_text()


@pytest.mark.parametrize(
    ("lane", "python", "lock"), [("1.16", "3.10", "requirements.txt"), ("1.21", "3.13", "requirements-tfx121.txt")]
)
def test_base_and_libraries_of_each_lane_are_pinned(lane, python, lock):
    base = rf"^FROM python:{re.escape(python)}\.\d+-slim-\w+ AS lane-{re.escape(lane)}$"
    assert re.search(base, DOCKERFILE, flags=re.MULTILINE)
    assert f"{lane})" in DOCKERFILE
    pins = [line for line in (ROOT / lock).read_text().splitlines() if line[:1].isalpha()]
    assert pins
    assert all("==" in line for line in pins)
