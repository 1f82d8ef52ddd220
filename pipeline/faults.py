"""Saying in one line what went wrong below the project's own code: on the disk, in the metadata, in the artifacts."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from data.errors import InputError

_KNOWN = (
    (
        r"No space left on device|database or disk is full|Disk quota exceeded",
        "no space is left on the disk: free some and run again",
    ),
    (r"Read-only file system|readonly database|Permission denied", "the work directory can't be written"),
    (
        r"DataLoss|(?i:corrupted|truncated) record|(?i:data loss|inflate|zlib error|not a gzipped file|end-of-stream)",
        "what an earlier step wrote is damaged: run again with --no-cache, which makes it anew",
    ),
    (
        r"No such file or directory|NotFoundError|No files matched",
        "what an earlier step wrote is missing: run again with --no-cache, which makes it anew",
    ),
)
"""What libraries say, each in its own exception type, and what it means to a person."""

_LONGEST = 300


def describe_failure(error: BaseException) -> str:
    """Say in one line why a step failed.

    Parameters
    ----------
    error
        What the step raised; the errors that led to it are looked at too.
    """
    texts = [f"{type(cause).__name__}: {cause}" for cause in _causes(error)]
    for pattern, meaning in _KNOWN:
        if any(re.search(pattern, text) for text in texts):
            return meaning
    return one_line(error)


def one_line(error: BaseException) -> str:
    """Return an error's type and the beginning of what it says."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def check_metadata(metadata: Path, artifacts: Path) -> None:
    """See to it that ML Metadata can be relied on, before a run does.

    Parameters
    ----------
    metadata
        Its SQLite file; missing before the first run.
    artifacts
        The folder of the artifacts that it knows.

    Raises
    ------
    InputError
        The file is damaged, or gone while the artifacts are there: new artifacts would mix with theirs.
    """
    home = metadata.parent
    remedy = f"move {home} away and run again; what is published stays"
    if not metadata.exists():
        if artifacts.is_dir() and any(artifacts.iterdir()):
            raise InputError(f"{artifacts} is there without its {metadata.name}: {remedy}")
        return
    try:
        with closing(sqlite3.connect(metadata)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise InputError(f"the metadata {metadata} can't be read ({error}): {remedy}") from error
    if found != "ok":
        raise InputError(f"the metadata {metadata} is damaged: {remedy}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
