"""Digests of the code behind a node, for TFX's cache, which doesn't see that code changed."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_ROOMS = ("data", "trainer_module", "components", "pipeline")


def source_digest(*modules: str) -> str:
    """Return a SHA-256 over the given modules, all of the project's modules that they import, and their templates.

    Imports are read from the source, wherever in a file they stand; nothing is imported.

    Parameters
    ----------
    modules
        Dotted names, such as `trainer_module.trainer`.

    Raises
    ------
    ModuleNotFoundError
        A module is not one of the project's.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _source_of(name)
        if path is None:
            raise ModuleNotFoundError(f"{name} is no module of this project")
        found[name] = path
        found.update(_templates_beside(path))
        waiting.extend(_imported(path))
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + found[name].read_bytes() + b"\0")
    return digest.hexdigest()


def _source_of(name: str) -> Path | None:
    """Return the file of a project module; None for anything else."""
    base = _ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _templates_beside(path: Path) -> dict[str, Path]:
    """Return the files of a `templates` folder beside a module, which decide as much as its code does."""
    return {file.relative_to(_ROOT).as_posix(): file for file in (path.parent / "templates").glob("*.html")}


def _imported(path: Path) -> Iterator[str]:
    """Yield the project modules that a file imports, packages along the way included."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] not in _ROOMS:
                continue
            for end in range(1, len(parts) + 1):
                module = ".".join(parts[:end])
                if _source_of(module) is not None:
                    yield module
