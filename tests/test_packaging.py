"""What pyproject.toml names, against what there is: the packages of `pip install -e .`, and whose types are checked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("data", "serving", "trainer_module", "components", "pipeline")
COMMANDS = sorted(path.stem for path in ROOT.glob("*.py"))


@pytest.fixture(scope="module")
def tools() -> dict[str, Any]:
    return tomli.loads((ROOT / "pyproject.toml").read_text())["tool"]


@pytest.fixture(scope="module")
def setuptools(tools: dict[str, Any]) -> dict[str, Any]:
    return tools["setuptools"]


def test_the_types_of_every_room_and_command_are_checked(tools):
    assert sorted(tools["mypy"]["packages"]) == sorted(ROOMS)
    assert sorted(tools["mypy"]["modules"]) == COMMANDS


def test_every_folder_of_code_and_every_command_is_named(setuptools):
    folders = {path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert sorted(setuptools["packages"]) == sorted(".".join(folder.parts) for folder in folders)
    assert sorted(setuptools["py-modules"]) == COMMANDS


def test_every_file_of_data_beside_the_code_is_named(setuptools):
    there = {
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    named = {
        path
        for package, patterns in setuptools["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    assert there
    assert named == there


def test_an_editable_install_is_imported_from_the_sources_wherever_one_stands(tmp_path):
    # Building leaves files beside the sources.
    copy = tmp_path / "project"
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.in", *(f"{name}.py" for name in COMMANDS)):
        shutil.copy(ROOT / name, copy / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    install = [*pip, "install", "--root-user-action=ignore", "--no-deps", "--no-build-isolation", "--no-index"]
    there = tmp_path / "there"
    subprocess.run([*install, "--prefix", str(there), "-e", str(copy)], cwd=tmp_path, check=True)
    (site,) = there.rglob("site-packages")
    code = (
        f"import site; site.addsitedir({str(site)!r})\n"
        "import data.errors, trainer_module.settings, components.gate_settings, pipeline.kubeflow.uris, local_runner\n"
        "from importlib import metadata, resources\n"
        "print(resources.files('data.examples').joinpath('schema.pbtxt').is_file())\n"
        "print(*metadata.requires('next-movie-retrieval'), sep='\\n')\n"
        "for module in (data.errors, pipeline.kubeflow.uris, local_runner): print(module.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "True"
    assert {"tfx", "numpy", "setuptools<82"} < set(lines)
    assert lines[-3:] == [
        str(copy / name) for name in ("data/errors.py", "pipeline/kubeflow/uris.py", "local_runner.py")
    ]
