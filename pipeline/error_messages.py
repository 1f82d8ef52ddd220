"""One line for what goes wrong below the project's own code: on the disk, in the metadata, in the artifacts."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from data.errors import CodedMessage, InputError, last_words, one_line
from data.full_disk import is_disk_full
from pipeline.defaults import METADATA_FILE

_NO_MODULE = re.compile(r"No module named '([^']+)'")
_NOT_PERMITTED = re.compile(r"Permission denied|Read-only file system|readonly database")
_DAMAGED = re.compile(
    r"DATA_LOSS|Not a valid TFRecord|(?i:corrupted|truncated) record|"
    r"(?i:data loss|zlib|inflate\(\)|while decompressing data|not a gzipped file|end-of-stream marker)"
)
_LOCKED = re.compile(r"database(?: \w+)? is locked|Concurrent writes aborted")
_NOT_OPENED = re.compile(r"unable to open database|readonly database|disk I/O error")
_NO_FILES = re.compile(r"No files (?:matched|found)|SavedModel file does not exist")
"""What libraries say, where their exceptions' types don't tell."""

_NO_HISTORY = "the model reads whole histories, and an example holds none"
"""What a model's own graph says, in the midst of what TensorFlow does: see `trainer_module.signatures`."""

_KIND = re.compile(r"(?:\w+\.)*(\w+): ")
_NO_PATH = re.compile(r"\{\{.*?\}\}|\[(?:Op:|while running ).*", re.DOTALL)
_REST_OF_PATH = r"/(?:[^;:'\"\n]|:(?!\s))+"
_QUOTED_PATH = re.compile(
    r"(?:No such file or directory|Permission denied|Read-only file system): (['\"])(?P<path>.+?)\1"
)
_BARE_PATHS = (
    re.compile(rf"(?:^|[\s'\"(])(?P<path>{_REST_OF_PATH})"),
    re.compile(r"(?P<path>\S+); (?:No such file or directory|Permission denied|Read-only file system)"),
)

_LOCK_SECONDS = 1.0
"""How long a lock on the metadata is waited for: another of the project's commands holds it for milliseconds."""

NO_CACHE = "run again with --no-cache"
"""What makes artifacts of this run's own steps anew; those of earlier runs are looked at before they are used."""


def describe_failure(error: BaseException, work_dir: Path, artifacts: Path | None = None) -> CodedMessage:
    """Return in one line why a step failed.

    Parameters
    ----------
    error
        What the step raised; the errors that it was raised from are looked at too.
    work_dir
        What the run writes below.
    artifacts
        The folder of the run's artifacts: what is missing or damaged there is an earlier step's. None before any step.
    """
    # On a full disk the cleaning up fails too, in many ways.
    if any(is_disk_full(cause) for cause in _causes(error, handled=True)):
        return CodedMessage("no space is left on the disk: free some and run again", code="F01")
    for cause in _causes(error):
        meaning = _meaning_of(cause, work_dir, artifacts)
        if meaning is not None:
            return meaning
    return CodedMessage(one_line(error), code="R01")


def check_metadata(metadata: Path, artifacts: Path) -> None:
    """Check that ML Metadata is whole, before a run uses it.

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
    if not metadata.exists():
        if artifacts.is_dir() and any(artifacts.iterdir()):
            raise InputError(
                f"{artifacts} is there without its {metadata.name}: "
                f"move {home} away and run again; what is published stays",
                code="R02",
            )
        return
    try:
        # Whoever only reads keeps others from writing too, and shows in the exclusive right alone.
        found = _ask(metadata, "BEGIN EXCLUSIVE", "PRAGMA quick_check(1)")
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"the metadata {metadata} can't be read ({error}): move {home} away and run again; what is published stays",
            code="R02",
        ) from error
    if found != "ok":
        raise InputError(
            f"the metadata {metadata} is damaged: move {home} away and run again; what is published stays", code="R02"
        )


def check_metadata_opens(metadata: Path) -> None:
    """Check that no other program, and no right that is missing, keeps ML Metadata from being read.

    Parameters
    ----------
    metadata
        Its SQLite file. Nothing is said here of one that is damaged.

    Raises
    ------
    InputError
        The file is locked or can't be opened.
    """
    with suppress(sqlite3.DatabaseError):
        _ask(metadata, "SELECT count(*) FROM sqlite_master")


def _ask(metadata: Path, *statements: str) -> object:
    """Return the first value that the last SQL statement answers; what the others did is rolled back.

    Raises
    ------
    InputError
        The file is locked or can't be opened, whatever it holds.
    sqlite3.DatabaseError
        It is no sound database.
    """
    try:
        with closing(sqlite3.connect(metadata, timeout=_LOCK_SECONDS, isolation_level=None)) as database:
            *before, last = statements
            for statement in before:
                database.execute(statement)
            return database.execute(last).fetchone()[0]
    except sqlite3.OperationalError as error:
        if _LOCKED.search(str(error)):
            held = _held_open(metadata)
            raise InputError(held.message, code=held.code) from error
        if _NOT_OPENED.search(str(error)):
            raise InputError(
                f"the metadata {metadata} can't be opened ({error}): give access to it and run again", code="R04"
            ) from error
        raise


def _held_open(metadata: Path | str) -> CodedMessage:
    return CodedMessage(f"another program holds {metadata} open: close it and run again", code="R03")


def _causes(error: BaseException | None, *, handled: bool = False) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from; on request also those that were being handled then.

    An error that was handled need not have anything to do with the next one.
    """
    while error is not None:
        yield error
        implicit = error.__context__ if handled and not error.__suppress_context__ else None
        error = error.__cause__ or implicit


def _meaning_of(error: BaseException, work_dir: Path, artifacts: Path | None) -> CodedMessage | None:
    """Return what an error means to a person; None if it is none of those that are known."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = last_words(error)
    while match := _KIND.match(text):
        # Beam passes errors on as text, in an error of another type.
        kinds.add(match[1])
        text = text[match.end() :]
    path = _path_of(error, text, work_dir)
    an_earlier_steps = path is not None and artifacts is not None and path.is_relative_to(artifacts)
    if "ModuleNotFoundError" in kinds and (module := _NO_MODULE.search(text)):
        return CodedMessage(
            f"the Python module {module[1]} is missing: install the pinned requirements (requirements.txt)", code="R06"
        )
    if _NO_HISTORY in text:
        return CodedMessage(
            "the model reads whole histories, and an example holds none: set data.leave_out to history and run again",
            code="R10",
        )
    if _LOCKED.search(text):
        return _held_open(artifacts.parent / METADATA_FILE if artifacts is not None else "the metadata")
    if not_permitted := _NOT_PERMITTED.search(text):
        return _not_permitted(not_permitted[0], path, work_dir)
    if "DataLossError" in kinds or _DAMAGED.search(text):
        # Readers of records don't say which file it was. Steps read what steps wrote.
        if path is None or an_earlier_steps:
            return CodedMessage(f"what an earlier step wrote is damaged: {NO_CACHE}, which makes it anew", code="R05")
        return CodedMessage(f"{path} is damaged: put a whole one there and run again", code="F15")
    if path is not None and (kinds & {"FileNotFoundError", "NotFoundError"} or _NO_FILES.search(text)):
        if an_earlier_steps:
            return CodedMessage(f"what an earlier step wrote is missing: {NO_CACHE}, which makes it anew", code="R05")
        return CodedMessage(f"{path} is missing: put it back and run again", code="F14")
    return None


def _not_permitted(reason: str, path: Path | None, work_dir: Path) -> CodedMessage | None:
    if path is None:
        # The metadata are the one database.
        return (
            CodedMessage(f"the work directory can't be written ({reason})", code="F03")
            if "database" in reason
            else None
        )
    if path.is_relative_to(work_dir):
        return CodedMessage(f"the work directory can't be written ({path}: {reason})", code="F03")
    return CodedMessage(f"{path} can't be used: {reason}", code="F13")


def _path_of(error: BaseException, text: str, work_dir: Path) -> Path | None:
    """Return the path that an error is about; None if it names none."""
    named = getattr(error, "filename", None)
    if isinstance(named, str | bytes):
        return Path(os.fsdecode(named))
    text = _NO_PATH.sub("", text)
    # Where nothing shows a path's end, the work directory is known all the same, whatever characters its name has.
    below = re.compile(rf"(?P<path>{re.escape(str(work_dir))}{_REST_OF_PATH})")
    found = (pattern.search(text) for pattern in (_QUOTED_PATH, below, *_BARE_PATHS))
    return next((Path(match["path"].strip()) for match in found if match), None)
