"""The request log of a server: what was asked and answered, kept in files, without a caller waiting for it.

A request leaves an entry in a queue, and a thread of its own makes lines of it and writes them. What the queue has no
room for is dropped and counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict, Field

from data.errors import InputError
from data.movie_ids import MovieId
from data.request_log.files import file_held, log_file_name, log_files
from data.request_log.records import Feedback, Record, ServedRequest, write_record

_LOG = logging.getLogger("next_movie.serve")

_DAY = 86_400.0
_STEP = 2e-6
"""Seconds between the names of two files, more than a number of today's seconds is rounded by."""

_IDLE_SECONDS = 3_600.0
"""Until the thread looks for files that are too old, where nothing is asked."""

_LABELS_SECONDS = 1.0
"""How long labels are taken to be as they were read."""

_END_SECONDS = 10.0
"""Until a server that is stopped gives up on writing the rest."""

Row = tuple[Sequence[MovieId], Sequence[MovieId]]
"""A history and its answer."""


class LogSettings(BaseModel):
    """What is logged, and for how long.

    Attributes
    ----------
    sample
        Share of the requests that are logged.
    file_bytes
        After so many a file is ended, and another one begun; so it is after a day.
    keep_days
        Files whose last record is older are deleted.
    queue_bytes
        What waiting entries may hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: float = Field(default=1.0, gt=0, le=1)
    file_bytes: int = Field(default=64 << 20, ge=1)
    keep_days: float = Field(default=30.0, gt=0)
    queue_bytes: int = Field(default=32 << 20, ge=1)


class RequestLog(Collector):
    """A folder of log files that one server writes; others may write to the same folder.

    Parameters
    ----------
    folder
        It is made, for its owner alone, where it is missing. Files can be read by their owner alone.
    settings
        What is logged.
    labels
        Returns the versions by label.
    draw
        Returns a number from 0 to below 1, by which it is decided whether a request is logged.
    clock
        Returns the time in seconds since 1970.

    Attributes
    ----------
    written, dropped, failed
        Records that were written; entries that the queue had no room for; records that could not be written.

    Raises
    ------
    InputError
        The folder can't be written.
    """

    def __init__(
        self,
        folder: Path,
        settings: LogSettings,
        labels: Callable[[], Mapping[str, int]] = dict,
        draw: Callable[[], float] = random.random,  # noqa: S311, nothing is kept secret by it
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._draw = draw
        self._clock = clock
        self._labels = _Remembered(labels)
        self._files = _LogFiles(folder, settings, clock)
        self._entries: deque[tuple[Callable[[], Iterable[Record]], int]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_all, name="request-log", daemon=True)
        self._is_told = False
        self.written = self.dropped = self.failed = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(_END_SECONDS)

    def new_request_id(self) -> str | None:
        """Return an id for a request that is to be logged; None for one that is not."""
        return uuid.uuid4().hex if self._draw() < self._settings.sample else None

    def add_answers(
        self,
        request_id: str,
        version: int,
        rows: Callable[[], Sequence[Row]],
        size: int,
        user: MovieId | None = None,
    ) -> bool:
        """Have the answers to a request written.

        Parameters
        ----------
        request_id
            From `new_request_id`.
        version
            That answered.
        rows
            Returns histories and answers; it is called by the thread that writes, so that no caller waits for it.
        size
            About how many bytes `rows` keeps in memory.
        user
            Who asked, if that is known.

        Returns
        -------
        bool
            Whether there was room for it.
        """
        answered_at = self._clock()

        def records() -> Iterator[Record]:
            found = rows()
            labels = tuple(sorted(label for label, bearer in self._labels().items() if bearer == version))
            for number, (history, answer) in enumerate(found):
                yield ServedRequest(
                    request_id=request_id if len(found) == 1 else f"{request_id}/{number}",
                    time=answered_at,
                    version=version,
                    labels=labels,
                    user=user,
                    history=tuple(history),
                    answer=tuple(answer),
                )

        return self._put(records, size)

    def add_feedback(self, request_id: str, taken: Sequence[MovieId]) -> bool:
        """Have feedback written, and return whether there was room for it."""
        feedback = Feedback(request_id=request_id, time=self._clock(), taken=tuple(taken))
        return self._put(lambda: [feedback], 100 + 20 * len(taken))

    def collect(self) -> Iterator[Metric]:
        """Yield what became of records, for Prometheus."""
        records = CounterMetricFamily(
            "next_movie_request_log", "Records of the request log by what became of them.", labels=["result"]
        )
        for result in ("written", "dropped", "failed"):
            records.add_metric([result], getattr(self, result))
        yield records

    def _put(self, records: Callable[[], Iterable[Record]], size: int) -> bool:
        with self._changed:
            if self._is_closed or self._waiting_bytes + size > self._settings.queue_bytes:
                self.dropped += 1
                return False
            self._waiting_bytes += size
            self._entries.append((records, size))
            self._changed.notify()
            return True

    def _write_all(self) -> None:
        while True:
            with self._changed:
                if not self._entries and not self._is_closed:
                    self._changed.wait(_IDLE_SECONDS)
                entries, is_closed = list(self._entries), self._is_closed
                self._entries.clear()
                self._waiting_bytes = 0
            self._write([line for records, _ in entries for line in self._lines(records)])
            if is_closed and not entries:
                self._files.end()
                return

    def _lines(self, records: Callable[[], Iterable[Record]]) -> list[bytes]:
        try:
            return [write_record(record) for record in records()]
        except Exception as error:  # whatever a request held, the next ones are logged
            self._fail(1, error)
            return []

    def _write(self, lines: Sequence[bytes]) -> None:
        try:
            self._files.write(lines)
        except OSError as error:
            self._fail(len(lines), error)
        else:
            self.written += len(lines)
            self._is_told = self._is_told and not lines

    def _fail(self, records: int, error: Exception) -> None:
        """Count records that are lost, and tell the first of a series."""
        self.failed += records
        if not self._is_told:
            self._is_told = True
            _LOG.warning("the request log can't be written: %s; answers go on", " ".join(str(error).split())[:300])


class _Remembered:
    """Labels, read again once they are old."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read
        self._labels: Mapping[str, int] = {}
        self._until = 0.0

    def __call__(self) -> Mapping[str, int]:
        if time.monotonic() >= self._until:
            self._labels, self._until = self._read(), time.monotonic() + _LABELS_SECONDS
        return self._labels


class _LogFiles:
    """The files of the folder, of which one is open at a time."""

    def __init__(self, folder: Path, settings: LogSettings, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._descriptor: int | None = None
        self._bytes = 0
        self._begun = self._named = 0.0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._delete_old()
            # Told before anyone is answered, and an empty file is none to leave.
            probe = folder / f".{uuid.uuid4().hex}"
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"{folder} can't hold the request log ({error.strerror or error}): name another --request-log",
                code="H02",
            ) from error

    def write(self, lines: Sequence[bytes]) -> None:
        """Append whole lines, in as many files as it takes; without any, see to files that are too old.

        Raises
        ------
        OSError
            Not all of them could be written. What follows goes to another file: this one may end in a part of a line.
        """
        if self._descriptor is not None and self._clock() - self._begun >= _DAY:
            self.end()
        if not lines:
            self._delete_old()
        try:
            for line in lines:
                if self._descriptor is not None and self._bytes + len(line) > self._settings.file_bytes:
                    self.end()
                self._append(line)
        except OSError:
            self.end()
            raise

    def end(self) -> None:
        """Close the file that is open, if one is."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _begin(self) -> int:
        self._delete_old()
        self._bytes, self._begun = 0, self._clock()
        # Files are read in the order of their names, also where the clock stood or was set back.
        self._named = max(self._begun, self._named + _STEP)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._folder / log_file_name(self._named), flags, 0o600)

    def _append(self, line: bytes) -> None:
        """Append a line to the file that is open, or to a new one where `history.py forget` has replaced it."""
        while True:
            descriptor = self._begin() if self._descriptor is None else self._descriptor
            self._descriptor = descriptor
            with file_held(descriptor):
                if os.fstat(descriptor).st_nlink:
                    self._bytes += len(line)
                    while line:
                        line = line[os.write(descriptor, line) :]
                    return
            self.end()

    def _delete_old(self) -> None:
        oldest = self._clock() - self._settings.keep_days * _DAY
        for path in log_files(self._folder):
            # Another server may have deleted it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
