"""The frame of every command: what ends one, and with which exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn, TextIO, cast

from data.errors import CodedMessage, InputError

EXIT_FAILED = 1
EXIT_INPUT_ERROR = 2
EXIT_STOPPED = 130
"""As shells say it of a process that Ctrl-C ended."""


class CommandParser(argparse.ArgumentParser):
    """A parser whose refusals end with a code; its subcommands' parsers are of this kind too."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end the process with exit code 2."""
        super().error(CodedMessage(message, code="A01").line)


class StandardOutputLost(BaseException):
    """Standard output can't be written any more, so that the command ends.

    No `Exception`: whoever handles faults of files, connections or steps would take it for one.

    Parameters
    ----------
    error
        What the system said.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def add_beam_option(parser: argparse.ArgumentParser, effect: str = "an option for Beam") -> None:
    """Add `--beam-arg`, whose help begins with its effect."""
    parser.add_argument(
        "--beam-arg",
        action="append",
        default=[],
        metavar="ARG",
        help=f"{effect}, such as --beam-arg=--runner=PortableRunner; may be repeated",
    )


def run_command(main: Callable[[], int | None], *, stopped: str = "stopped", outlives_reader: bool = False) -> int:
    """Run a command and return its exit code; what ends it early is one line on standard error.

    A reader that has seen enough, such as `head`, ends the command quietly with 0. Standard error that can't be written
    is no reason to end.

    Parameters
    ----------
    main
        The command without its arguments; None stands for exit code 0.
    stopped
        What is said after Ctrl-C.
    outlives_reader
        Whether the command goes on in silence when its reader has gone, as one does whose output is not all there is
        to it.
    """
    _accept_any_text()
    with (
        _watched("stdout", BrokenPipeError if outlives_reader else None),
        _watched("stderr", OSError),
    ):
        return _run(main, stopped)


def _run(main: Callable[[], int | None], stopped: str) -> int:
    try:
        try:
            code = main() or 0
        except SystemExit:
            # As after `--help`.
            sys.stdout.flush()
            raise
        # What is held back would only fail at exit, where it is a traceback.
        sys.stdout.flush()
    except InputError as error:
        return _end(f"error: {error.line}", EXIT_INPUT_ERROR)
    except StandardOutputLost as lost:
        if isinstance(lost.error, BrokenPipeError):
            _discard(sys.stdout)
            return 0
        unwritten = CodedMessage(f"standard output can't be written: {lost.error.strerror}", code="F10")
        return _end(f"error: {unwritten.line}", EXIT_INPUT_ERROR)
    except KeyboardInterrupt:
        return _end(stopped, EXIT_STOPPED)
    except MemoryError:
        too_large = CodedMessage("the memory is used up: free some, or take less data", code="F11")
        return _end(f"error: {too_large.line}", EXIT_FAILED)
    return code


def _accept_any_text() -> None:
    """Have standard output and standard error replace what their encoding has no sign for; fill in closed ones."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by the shell (`>&-`). The next file opened would get its number.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


class _Descriptor(io.FileIO):
    """A descriptor that is written to nowhere after a forgiven fault; another fault ends the command."""

    def __init__(self, number: int, forgiven: type[OSError] | None) -> None:
        super().__init__(number, "w", closefd=False)
        self._forgiven = forgiven

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if self._forgiven is None or not isinstance(error, self._forgiven):
                raise StandardOutputLost(error) from error
        _lead_nowhere(self.fileno())
        return memoryview(data).nbytes


@contextmanager
def _watched(name: str, forgiven: type[OSError] | None) -> Iterator[None]:
    """Have a stream's faults forgiven or raised as `StandardOutputLost`; one that others put there stays as it is."""
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
        yield
        return
    _settle(stream)
    descriptor = _Descriptor(stream.fileno(), forgiven)
    watched = io.TextIOWrapper(
        # Unbuffered streams, of `python -u`, have no buffer between.
        cast(BinaryIO, descriptor) if stream.write_through else io.BufferedWriter(descriptor),
        stream.encoding,
        stream.errors,
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    setattr(sys, name, watched)
    try:
        yield
    finally:
        _settle(watched)
        setattr(sys, name, stream)


def _settle(stream: TextIO) -> None:
    """Write what a stream still holds, or send it to nowhere: at exit it would only fail."""
    try:
        stream.flush()
    except (OSError, StandardOutputLost):
        _discard(stream)


def _discard(stream: TextIO) -> None:
    """Send to nowhere what a stream still holds and what it gets from now on."""
    try:
        _lead_nowhere(stream.fileno())
        stream.flush()
    except (OSError, ValueError):
        return


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _end(line: str, code: int) -> int:
    _settle(sys.stdout)
    print(line, file=sys.stderr, flush=True)
    return code


def print_json(text: str) -> None:
    """Print JSON as UTF-8, whatever the locale's encoding."""
    stream = sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.flush()
        stream.reconfigure(encoding="utf-8")
    print(text)
