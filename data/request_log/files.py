"""The files of a request log: `requests-<begun at>-<8 signs>.jsonl` in a folder, in the order of their names."""

from __future__ import annotations

import fcntl
import hashlib
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from data.errors import InputError
from data.request_log.records import Record, read_record

_NAME = re.compile(r"requests-[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}\.jsonl")
_LONGEST_LINE = 16 << 20
_CHUNK = 1 << 20


def log_file_name(begun: float) -> str:
    """Return a name that no other file of a log has, for one that is begun at a time in seconds since 1970."""
    when = datetime.fromtimestamp(begun, timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"requests-{when}-{uuid.uuid4().hex[:8]}.jsonl"


@contextmanager
def file_held(descriptor: int) -> Iterator[None]:
    """Hold a file of a log alone, as a server does while it writes lines, and whoever puts another in its place.

    Where the file system knows no locks, nothing is held.

    Parameters
    ----------
    descriptor
        Of the open file.
    """
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def log_files(folder: Path) -> list[Path]:
    """Return the files of a log, the one that was begun first at the beginning; links are none of them.

    Raises
    ------
    OSError
        The folder can't be read.
    """
    return sorted(
        path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    )


class RequestLogReader:
    """Reads a log, file by file.

    Parameters
    ----------
    folder
        What `serve.py --request-log` names.

    Attributes
    ----------
    unfinished
        Lines that `records` passed over: each the last of its file, and without an end. A server may be at work on it,
        or was killed there.

    Raises
    ------
    InputError
        The folder can't be read, or holds no log.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._files = log_files(folder)
        except OSError as error:
            raise InputError(
                f"{folder} can't be read as a request log: {error.strerror or error}", code="D29"
            ) from error
        if not self._files:
            raise InputError(
                f"{folder} holds no request log: name the folder that `serve.py --request-log` was given", code="D29"
            )
        # A file that grows meanwhile is read up to here: digest and records are of the same content.
        self._sizes = {path: path.stat().st_size for path in self._files}
        self.unfinished = 0

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the files' content.

        Raises
        ------
        InputError
            A file can't be read.
        """
        whole = hashlib.sha256()
        for path in self._files:
            left = self._sizes[path]
            with _opened(path) as file:
                while left and (chunk := file.read(min(_CHUNK, left))):
                    whole.update(chunk)
                    left -= len(chunk)
        return whole.hexdigest()

    def records(self) -> Iterator[Record]:
        """Yield the records in the order in which they were written.

        Raises
        ------
        InputError
            A file can't be read, or a line is no record.
        """
        self.unfinished = 0
        for path in self._files:
            yield from self._records_of(path)

    def _records_of(self, path: Path) -> Iterator[Record]:
        left, number = self._sizes[path], 0
        with _opened(path) as file:
            while left and (line := file.readline(min(_LONGEST_LINE, left))):
                left -= len(line)
                number += 1
                if not line.endswith(b"\n"):
                    if left:
                        raise InputError(f"{path}, line {number} is longer than {_LONGEST_LINE:,} bytes", code="D28")
                    self.unfinished += 1
                    return
                try:
                    record = read_record(line)
                except ValueError as error:
                    raise InputError(
                        f"{path}, line {number} is no record of a request or of feedback ({error})", code="D28"
                    ) from error
                yield record


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} can't be read as a request log: {error.strerror or error}", code="D29") from error
