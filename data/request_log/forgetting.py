"""A user taken out of a request log: requests that name the user, and the feedback on them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from data.interactions.values import user_numbers
from data.request_log.files import RequestLogReader, file_held, log_files
from data.request_log.records import Feedback, Record, ServedRequest, read_record

_ASIDE = ".forget"
"""Ends the name of the file that is written to take another's place."""


@dataclass(frozen=True)
class RecordsOfUser:
    """What a log holds of a user.

    Attributes
    ----------
    requests
        The ids of the requests that name the user.
    feedback
        How many records of feedback there are on them.
    nameless
        How many requests name nobody: whose they are can't be told.
    """

    requests: frozenset[str]
    feedback: int
    nameless: int


def find_records(folder: Path, user: str) -> RecordsOfUser:
    """Return what a log holds of a user, and change nothing.

    Parameters
    ----------
    folder
        What `serve.py --request-log` names.
    user
        The user's id, as in the ratings or interactions; 7 and "7" are one.

    Raises
    ------
    InputError
        The log can't be read, or a line of it is no record.
    """
    log = RequestLogReader(folder)
    [number] = user_numbers([user]).tolist()
    requests, nameless = set(), 0
    for record in log.records():
        if isinstance(record, ServedRequest):
            if record.user is None:
                nameless += 1
            elif user_numbers([record.user]).tolist() == [number]:
                requests.add(record.request_id)
    feedback = sum(isinstance(record, Feedback) and record.request_id in requests for record in log.records())
    return RecordsOfUser(frozenset(requests), feedback, nameless)


def forget_records(folder: Path, found: RecordsOfUser) -> None:
    """Take records out of a log. Killed in the midst, a second look finds what is left.

    A server may be at work: each file is replaced while it is held, and the server goes on in a new one. What a killed
    server left of a line goes too where a file is replaced.

    Parameters
    ----------
    folder
        The log.
    found
        From `find_records`.

    Raises
    ------
    OSError
        A file can't be read or replaced.
    """
    for aside in folder.glob(f".*{_ASIDE}"):
        with _held(aside.with_name(aside.name[1 : -len(_ASIDE)])):
            aside.unlink(missing_ok=True)
    # Feedback is known by its request alone, which therefore goes last.
    for kind, is_there in ((Feedback, found.feedback), (ServedRequest, found.requests)):
        for path in log_files(folder) if is_there else ():
            _rewrite(path, kind, found.requests)


def _rewrite(path: Path, kind: type[Record], requests: frozenset[str]) -> None:
    """Replace a file by one without the records of a kind that are of some requests; its time and rights stay."""
    with _held(path) as file:
        lines = [line for line in file or () if line.endswith(b"\n")]
        kept = [line for line in lines if not _is_of(line, kind, requests)]
        if file is None or len(kept) == len(lines):
            return
        aside = path.with_name(f".{path.name}{_ASIDE}")
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as written:
                written.writelines(kept)
            was = os.fstat(file.fileno())
            with contextlib.suppress(PermissionError):
                os.chown(aside, was.st_uid, was.st_gid)
            # By its time a file is deleted when it is old.
            shutil.copystat(path, aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[BinaryIO | None]:
    """Hold the file that lies at a path alone, and yield it, or None where there is none.

    While this process waits, another one may put a file in its place, which is then held.
    """
    while True:
        try:
            # Network file systems lock only what may be written.
            file = path.open("r+b")
        except FileNotFoundError:
            yield None
            return
        with file, file_held(file.fileno()):
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return


def _is_of(line: bytes, kind: type[Record], requests: frozenset[str]) -> bool:
    try:
        record = read_record(line)
    except ValueError:
        # Such a line came after the log was looked through.
        return False
    return isinstance(record, kind) and record.request_id in requests
