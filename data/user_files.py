"""Paths that a person names: what an option takes for one, and how what they point to is written."""

from __future__ import annotations

import argparse
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from data.command import StandardOutputLost
from data.errors import InputError
from data.full_disk import disk_full, is_disk_full

_PATTERN_SIGNS = "[]*?\\"
_LONGEST_PATH = 512
"""Bytes that SQLite takes for the name of a database (its MAX_PATHNAME)."""

_BELOW_WORK_DIR = 200
"""Bytes left for what a run writes below its work directory up to its metadata, names of 63 characters included."""

_LONGEST_NAME = 255
"""Bytes of a file's name on Linux's file systems."""

_HIDING_BYTES = 34
"""Two dots and 32 hexadecimal digits of a hidden name."""

_MOST_LINKS = 40
"""As many as Linux follows."""

_STANDARD_OUTPUT = 1
"""Its descriptor."""


def user_path(text: str) -> Path:
    """Return the path that an option was given, with `~` expanded; for `argparse`'s `type`.

    Raises
    ------
    argparse.ArgumentTypeError
        The text is empty, holds a NUL, or begins with the home folder of a user who has none.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"the path {text!r} holds a NUL character")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: there is no such home folder; write the path in full") from error


def check_work_dir(folder: Path, option: str = "--work-dir") -> None:
    """Check that a run can write below a folder, before anything is written or imported.

    Parameters
    ----------
    folder
        The work directory.
    option
        What it is called by whoever gave it.

    Raises
    ------
    InputError
        Beam would take the path for a pattern, or SQLite or the file system can't take its length.
    """
    # A link counts by what it points to: runs work on the resolved path.
    text = str(folder.resolve())
    signs = [sign for sign in _PATTERN_SIGNS if sign in text]
    if signs:
        raise InputError(
            f"the work directory {text} holds {' '.join(signs)}, which Beam takes for a pattern: name another {option}",
            code="F06",
        )
    length = len(os.fsencode(text))
    if length > _LONGEST_PATH - _BELOW_WORK_DIR:
        raise InputError(
            f"the path of the work directory has {length} bytes, and {_LONGEST_PATH - _BELOW_WORK_DIR} are allowed: "
            f"name a shorter {option}",
            code="F07",
        )


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """Open a user's output for UTF-8 text; a plain file appears, or changes, when all of it is written.

    A link is followed. What is there and is no plain file, such as a device or a pipe, is written to as it is.

    Parameters
    ----------
    path
        As the user named it; messages name it so.

    Raises
    ------
    InputError
        It can't be written.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder: name a file", code="F08")
        # Behind /dev/stdout may be a plain file that the shell holds open: a new one in its place would not reach it.
        if (descriptor := _descriptor(path)) is not None:
            with _telling_of_a_lost_reader(descriptor), os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as file:
                yield file
            return
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as file:
                yield file
            return
        # Unlike `Path.resolve`, which takes links in a circle differently from one Python to the next.
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        with _replacing(target) as file:
            yield file
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path) from error
        if error.errno == errno.ELOOP:
            raise InputError(f"{path} can't be written: its links lead in a circle", code="F09") from error
        raise InputError(f"{path} can't be written: {error.strerror or error}", code="F02") from error


@contextmanager
def _telling_of_a_lost_reader(descriptor: int) -> Iterator[None]:
    """Have a reader of standard output that has seen enough end the command as one of `print` does."""
    try:
        yield
    except BrokenPipeError as error:
        if descriptor != _STANDARD_OUTPUT:
            raise
        raise StandardOutputLost(error) from error


@contextmanager
def _replacing(target: Path) -> Iterator[TextIO]:
    """Open a hidden file beside a plain one, and rename it over that at the end."""
    name = os.fsencode(target.name)
    if len(name) > _LONGEST_NAME:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    scratch = target.with_name(f".{os.fsdecode(name[: _LONGEST_NAME - _HIDING_BYTES])}.{uuid.uuid4().hex}")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            yield file
        if target.exists():
            scratch.chmod(target.stat().st_mode & 0o7777)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def is_standard_output(path: Path) -> bool:
    """Return whether a path, such as /dev/stdout, names this process's standard output."""
    return _descriptor(path) == _STANDARD_OUTPUT


def _descriptor(path: Path) -> int | None:
    """Return which descriptor of this process a path names, such as /dev/stdout or /dev/fd/3; None if it names none."""
    own = Path(f"/proc/{os.getpid()}/fd")
    for _ in range(_MOST_LINKS):
        if Path(os.path.realpath(path.parent)) == own and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def write_text(path: Path, text: str) -> None:
    """Write a user's output file as a whole: see `writing`."""
    with writing(path) as file:
        file.write(text)
