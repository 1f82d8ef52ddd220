"""Removing folders and files so that a process that is killed on the way leaves no half of one under its name.

A folder is first renamed, in its own place, to a name that no one reads; then its files go. The name is that of the
folder with a prefix, so that whoever comes next finds it from the folder's name alone.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

ASIDE_PREFIX = ".deleted-"


def is_plainly_below(path: Path, root: Path) -> bool:
    """Return whether a path lies below a folder without a link, or a step back, on the way or at its end."""
    if not path.is_relative_to(root) or path == root:
        return False
    steps = path.relative_to(root).parts
    return ".." not in steps and not any((root / Path(*steps[: end + 1])).is_symlink() for end in range(len(steps)))


def remove(path: Path) -> None:
    """Remove a folder with its content, or a file, and what an earlier removal left of it; links are not followed.

    Raises
    ------
    OSError
        It can't be removed.
    """
    aside = path.with_name(f"{ASIDE_PREFIX}{path.name}")
    _clear(aside)
    if _exists(path):
        path.rename(aside)
        _clear(aside)


def remove_all_but(folder: Path, name: str) -> None:
    """Remove what is in a folder but for one file; the folder stays.

    Folders go first: an artifact of examples counts as deleted as soon as one of its splits is gone.
    """
    for entry in sorted(entries(folder), key=lambda entry: (not entry.is_dir(), entry.name)):
        if entry.name.startswith(ASIDE_PREFIX):
            _clear(entry)
        elif entry.name != name:
            remove(entry)


def entries(folder: Path) -> list[Path]:
    """Return what a folder holds; nothing for what is no folder."""
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def size(paths: Iterable[Path]) -> int:
    """Return the bytes of all plain files at and below paths; links count for nothing."""
    return sum(_sizes(paths))


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from _sizes(path.iterdir())
        elif path.exists():
            yield path.stat().st_size


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _clear(path: Path) -> None:
    if not _exists(path):
        return
    if stat.S_ISDIR(path.lstat().st_mode):
        # It does not follow links, and on Linux stands one that appears while it is at work.
        shutil.rmtree(path)
    else:
        path.unlink()
