"""Which room of the code may know which: read from the source, imports inside functions among it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ROOMS = ("data", "trainer_module", "components", "pipeline")
"""From the ground up."""

COMMANDS = tuple(sorted(path.stem for path in ROOT.glob("*.py")))
BENCHMARKS = tuple(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "benchmarks").rglob("*.py"))
)


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Yield the dotted names that a source imports when it runs, those that it may take from a package included."""

    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    yield from visit(ast.parse(source))


def top(name: str) -> str:
    return name.partition(".")[0]


def test_the_reading_of_imports_finds_those_in_functions_and_leaves_out_those_for_types():
    source = "import a.b\nif TYPE_CHECKING:\n    import c\ndef f():\n    from d import e\n"
    assert list(imported(source)) == ["a.b", "d", "d.e"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_no_room_above_it(room: str):
    above = {*ROOMS[ROOMS.index(room) + 1 :], *COMMANDS, "benchmarks", "tests"}
    assert sources(room)
    upwards = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(room)
        for name in imported(path.read_text())
        if top(name) in above
    ]
    assert upwards == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_no_other_command(command: str):
    others = {*COMMANDS, "benchmarks", "tests"} - {command}
    assert others.isdisjoint(map(top, imported((ROOT / f"{command}.py").read_text())))


def test_data_imports_no_library_that_models_or_pipelines_are_made_with():
    unknown = {"tfx", "tfx_bsl", "tensorflow_recommenders", "tensorflow_transform", "tensorflow_model_analysis", "kfp"}
    for path in sources("data"):
        assert unknown.isdisjoint(map(top, imported(path.read_text()))), path


def test_data_does_not_name_tfx():
    named = [path.name for path in sources("data") if re.search(r"\btfx\b", path.read_text(), re.IGNORECASE)]
    assert named == []


def source_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def reached(module: str) -> set[str]:
    """Return all names that a module of the project imports, and the project's modules behind it."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        path = source_of(name)
        if path is not None:
            waiting.extend(imported(path.read_text()))
    return found


def circle(name_of: Callable[[Path], str]) -> list[str]:
    """Return the parts of the product that import each other in a circle, the first again at the end; [] if none do.

    `name_of` returns the part that a source belongs to.
    """
    graph: dict[str, set[str]] = {}
    for path in [*(path for room in ROOMS for path in sources(room)), *(ROOT / f"{name}.py" for name in COMMANDS)]:
        there = {source_of(name) for name in imported(path.read_text())} - {None}
        graph.setdefault(name_of(path), set()).update({name_of(other) for other in there} - {name_of(path)})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def part_of(path: Path) -> str:
    """Return the folder within a room that a source lies in; a module beside the folders stands for itself."""
    inner = path.relative_to(ROOT)
    return "/".join(inner.parts[:2])


def test_no_folders_import_each_other_in_a_circle():
    assert circle(part_of) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circle(lambda path: path.relative_to(ROOT).as_posix()) == []


def starters() -> list[str]:
    """Return the modules that prepare a process for the libraries."""
    modules = [*COMMANDS, *BENCHMARKS, "pipeline.kubeflow.entrypoint", "data.generate"]
    return [name for name in modules if "data.environment" in set(imported(source_of(name).read_text()))]


def test_whoever_starts_tfx_puts_off_its_cloud_extensions():
    with_tfx = {name for name in starters() if "tfx" in map(top, reached(name))}
    assert {"local_runner", "kubeflow_runner", "inspect_data", "pipeline.kubeflow.entrypoint"} <= with_tfx
    forgetful = [name for name in with_tfx if "defer_cloud_extensions()" not in source_of(name).read_text()]
    assert forgetful == []
