"""What is imported is declared, and not only brought along by something else that is."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("data", "serving", "trainer_module", "components", "pipeline")
PRODUCT = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
BENCHMARKS, TESTS = (sorted((ROOT / folder).rglob("*.py")) for folder in ("benchmarks", "tests"))
OURS = {*ROOMS, "benchmarks", "tools", *(path.stem for path in [*ROOT.glob("*.py"), *ROOT.glob("tools/*.py"), *TESTS])}
ELSEWHERE = {
    ROOT / "benchmarks" / "peers" / "fit_recbole.py",
    ROOT / "benchmarks" / "peers" / "fit_rectools.py",
    ROOT / "benchmarks" / "studies" / "ask_optuna.py",
    ROOT / "tests" / "serving" / "kserve_server.py",
    ROOT / "tests" / "serving" / "kserve_types.py",
}
"""Scripts that run in environments of their own."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*files: str) -> set[str]:
    """Return the names in files of requirements."""
    lines = [line for file in files for line in (ROOT / file).read_text().splitlines()]
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines if re.match(r"\w", line)}


@pytest.fixture(scope="module")
def owners() -> dict[str, set[str]]:
    """Return the distributions that hold a module, by its name's first part and by its first two.

    Namespaces such as `google` belong to many, and `importlib.metadata` of Python 3.10 finds only some of all.
    """
    owners = defaultdict(set)
    for distribution in distributions():
        owner = normal(distribution.name)
        # `distribution.files` says the same, and takes its time over all the files of the environment.
        for line in (distribution.read_text("RECORD") or "").splitlines():
            *folders, file = line.partition(",")[0].split("/")
            if file.endswith((".py", ".so")):
                parts = [*folders, file.partition(".")[0]]
                for length in (1, 2):
                    owners[".".join(parts[:length])].add(owner)
    return owners


def third_party(source: str) -> Iterator[str]:
    """Yield the names of modules that are neither the project's nor Python's, the first two parts of each."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.partition(".")[0] not in {*OURS, *sys.stdlib_module_names}:
                yield ".".join(name.split(".")[:2])


def undeclared(paths: list[Path], requirements: set[str], owners: dict[str, set[str]]) -> set[str]:
    """Return each import that no declared distribution holds, and who holds it."""
    missing = set()
    for path in paths:
        for name in third_party(path.read_text()):
            holders = owners.get(name) or owners.get(name.partition(".")[0], set())
            if not holders & requirements:
                missing.add(f"{path.relative_to(ROOT)}: {name} of {sorted(holders)}")
    return missing


def test_the_reading_of_imports_keeps_apart_what_a_namespace_holds():
    source = (
        "import json, numpy as np\nfrom data import features\ndef f():\n    from google.protobuf import text_format\n"
    )
    assert list(third_party(source)) == ["numpy", "google.protobuf"]


def test_the_product_imports_nothing_that_requirements_in_does_not_declare(owners):
    assert undeclared(PRODUCT, declared("requirements.in"), owners) == set()


def test_benchmarks_and_tests_import_nothing_that_is_not_declared(owners):
    paths = [path for path in [*BENCHMARKS, *TESTS] if path not in ELSEWHERE]
    assert undeclared(paths, declared("requirements.in", "requirements-dev.in"), owners) == set()


@pytest.mark.parametrize("lane", ["", "-tfx121"], ids=["TFX 1.16", "TFX 1.21"])
@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_what_is_declared_is_pinned(name, lane):
    assert declared(f"{name}.in") <= declared(f"{name}{lane}.txt")
