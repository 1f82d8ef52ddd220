"""The frame of every command: what ends one, and with which exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

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


def run_command(main: Callable[[], int | None], *, stopped: str = "stopped") -> int:
    """Run a command and return its exit code; what ends it early is one line on standard error.

    A reader that has seen enough, such as `head`, ends the command quietly with 0.

    Parameters
    ----------
    main
        The command without its arguments; None stands for exit code 0.
    stopped
        What is said after Ctrl-C.
    """
    _accept_any_text()
    try:
        code = main() or 0
        # What is held back would only fail at exit, where it is a traceback.
        if sys.stdout is not None:
            sys.stdout.flush()
    except InputError as error:
        return _end(f"error: {error.line}", EXIT_INPUT_ERROR)
    except BrokenPipeError:
        # A connection within the command may break too, which is no reader that has seen enough.
        if not (_is_unwritable(sys.stdout) or _is_unwritable(sys.stderr)):
            raise
        _discard(sys.stdout)
        _discard(sys.stderr)
        return 0
    except KeyboardInterrupt:
        return _end(stopped, EXIT_STOPPED)
    except MemoryError:
        told = CodedMessage("the memory is used up: free some, or take less data", code="F11")
        return _end(f"error: {told.line}", EXIT_FAILED)
    except OSError as error:
        # An error about a file names it; one without a name is about standard output.
        if error.filename is not None or not _is_unwritable(sys.stdout):
            raise
        _discard(sys.stdout)
        told = CodedMessage(f"standard output can't be written: {error.strerror}", code="F10")
        return _end(f"error: {told.line}", EXIT_INPUT_ERROR)
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


def _is_unwritable(stream: TextIO) -> bool:
    try:
        # Flushing alone may have nothing left to write: what failed was dropped.
        stream.write("\n")
        stream.flush()
    except OSError:
        return True
    return False


def _discard(stream: TextIO) -> None:
    """Send to nowhere what a stream still holds, so that it isn't flushed in vain at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _end(line: str, code: int) -> int:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)
    return code


def print_json(text: str) -> None:
    """Print JSON as UTF-8, whatever the locale's encoding."""
    stream = sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.flush()
        stream.reconfigure(encoding="utf-8")
    print(text)
