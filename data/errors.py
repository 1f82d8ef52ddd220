"""The one error type that is meant to be read by a person."""

from __future__ import annotations


class InputError(ValueError):
    """Something that was given (a file, a setting, a host) can't be used.

    The message is a single line that says what was wrong, where, and what to do. Entry points print it
    without a traceback and exit with a non-zero code.
    """
