"""Ids of parametrized tests that people can read, and that are the same in each worker."""

from __future__ import annotations


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Return the argument's name for bytes that are no plain line of text, and nothing (pytest's own id) for the rest.

    Content in an id is unreadable, and where it is not the same in every worker (a time in a gzip header), pytest-xdist
    refuses to run.
    """
    if isinstance(val, bytes) and not (val.isascii() and val.decode("ascii").isprintable() and len(val) < 60):
        return argname
    return None
