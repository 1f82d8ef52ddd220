"""Digests of the code behind a node, for TFX's cache, which doesn't see that code changed."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_ROOMS = ("data", "serving", "trainer_module", "components", "pipeline")
_FILE_NAME = re.compile(r"[\w-]+\.\w+")


def code_digest(*code: str | Callable[..., Any]) -> str:
    """Return a SHA-256 over the modules of code, and all of the project that they need to run.

    That is the project's modules that they import, wherever in a file the import stands; files beside a module that it
    names, such as a script that it starts, with what that imports; and the templates beside a module. All is read from
    the source, and nothing is imported.

    Parameters
    ----------
    code
        What a node is given to run, as it is given: a component's class or a function, which stand for the module that
        defines them, or a dotted path of a module or of something in one, such as `trainer_module.trainer.run_fn`.

    Raises
    ------
    ModuleNotFoundError
        A module is not one of the project's.
    """
    found: dict[str, Path] = {}
    waiting = [package for given in code for package in _with_packages(_module_of(given))]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _source_of(name)
        if path is None:
            raise ModuleNotFoundError(f"{name} is no module of this project")
        found[name] = path
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for file in _needed_beside(path, tree):
            if file.suffix == ".py":
                waiting.append(".".join(file.relative_to(_ROOT).with_suffix("").parts))
            else:
                found[file.relative_to(_ROOT).as_posix()] = file
        waiting.extend(_imported(tree))
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + found[name].read_bytes() + b"\0")
    return digest.hexdigest()


def _module_of(code: str | Callable[..., Any]) -> str:
    """Return the dotted name of the module that code stands in."""
    if not isinstance(code, str):
        return code.__module__
    parent = code.rpartition(".")[0]
    holder = _source_of(parent) if _source_of(code) is None and parent else None
    return parent if holder is not None and holder.name != "__init__.py" else code


def _with_packages(name: str) -> Iterator[str]:
    """Yield a module's name and, before it, those of the packages around it, whose code runs first."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def _source_of(name: str) -> Path | None:
    """Return the file of a project module; None for anything else."""
    base = _ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _needed_beside(path: Path, tree: ast.Module) -> Iterator[Path]:
    """Yield the files beside a module that decide as much as its code: those that it names, and templates."""
    yield from (path.parent / "templates").glob("*.html")
    for node in ast.walk(tree):
        named = node.value if isinstance(node, ast.Constant) else None
        if isinstance(named, str) and _FILE_NAME.fullmatch(named) and (path.parent / named).is_file():
            yield path.parent / named


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the project modules that a module imports, packages along the way included."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.partition(".")[0] in _ROOMS:
                yield from (module for module in _with_packages(name) if _source_of(module) is not None)
