"""Progress of a local run, from the records that TFX itself logs."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
from collections.abc import Iterator

import absl.logging

_STARTED = re.compile(r"Component (\S+) is running\.")
_FINISHED = re.compile(r"Component (\S+) is finished\.")
_CACHED = re.compile(r"A cached execution \d+ is used\.")

_INDENT = "  "


class StepPrinter(logging.Handler):
    """Prints one line a step: its name with its seconds, or `cached`.

    `LocalDagRunner` offers no hooks; these three records are its only signs. If a release of TFX words them
    otherwise, steps go unprinted and nothing else is lost: the summary at the end comes from ML Metadata.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._started = 0.0
        self._cached = False
        self.running: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Handle one of TFX's records."""
        message = record.getMessage()
        if match := _STARTED.search(message):
            self.running, self._started, self._cached = match[1], time.monotonic(), False
            if sys.stdout.isatty():
                print(f"{_INDENT}{self.running} ...", end="\r", flush=True)
        elif _CACHED.search(message):
            self._cached = True
        elif (match := _FINISHED.search(message)) and self.running == match[1]:
            took = "cached" if self._cached else f"{time.monotonic() - self._started:.1f} s"
            print(f"{_INDENT}{match[1]:<20} {took:>8}", flush=True)
            self.running = None


class _NotePrinter(logging.Handler):
    """Prints what the project's own components log while they run."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"{_INDENT}{_INDENT}{record.getMessage()}", flush=True)


@contextlib.contextmanager
def progress_shown(*, verbose: bool) -> Iterator[StepPrinter]:
    """Route TFX's step records and the project's own notes to standard output, and end that afterwards.

    Parameters
    ----------
    verbose
        Whether everything else that TFX logs is shown as well.
    """
    steps = StepPrinter()
    verbosity = absl.logging.get_verbosity()
    libraries, notes = logging.getLogger("absl"), logging.getLogger("next_movie")
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in (libraries, notes)]
    # By absl's own call: TFX's steps save and restore the verbosity that absl remembers.
    absl.logging.set_verbosity(absl.logging.INFO)
    libraries.handlers = [steps]
    libraries.propagate = verbose
    notes.setLevel(logging.INFO)
    notes.handlers = [_NotePrinter()]
    notes.propagate = False
    try:
        yield steps
    finally:
        absl.logging.set_verbosity(verbosity)
        for logger, handlers, level, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
