"""What all commands share: their exit codes, and how they end on bad input, Ctrl-C and a reader that has left."""

from __future__ import annotations

import sys
from collections.abc import Callable

from data.errors import InputError

EXIT_FAILED = 1
EXIT_INPUT_ERROR = 2
EXIT_STOPPED = 130
"""What shells answer for a process that Ctrl-C ended."""


def run_command(command: Callable[[], int | None], *, stopped: str | None = None, only_prints: bool = False) -> int:
    """Run a command and return its exit code; print an `InputError` as one line on standard error.

    Parameters
    ----------
    command
        Does the work; None stands for exit code 0.
    stopped
        What to say on standard error after Ctrl-C; None for nothing.
    only_prints
        The command is done when its output is read, so that a reader which ends early, such as `head`, is no fault.
    """
    try:
        code = command() or 0
        if only_prints and sys.stdout is not None:
            sys.stdout.flush()
        return code
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_INPUT_ERROR
    except KeyboardInterrupt:
        if stopped is not None:
            print(stopped, file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:
        if not only_prints:
            raise
        # What is left must not be flushed at exit.
        sys.stdout = None
        return 0
