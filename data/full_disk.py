"""A disk without space, or a share of it that is used up, or one that refuses: the signs, and one line about it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import InputError

_IN_WORDS = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full")
"""What libraries say of it where they wrap the system's error, which has a number."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that no space is left."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or _IN_WORDS.search(str(error)) is not None


def disk_full(place: Path | str) -> InputError:
    """Return the error of a place on a disk without space."""
    return InputError(f"no space left on the disk of {place}; free some and run again", code="F01")


def is_refused(error: BaseException) -> bool:
    """Return whether an error, perhaps one that Beam wrapped, says that a file may not be written."""
    return isinstance(error, PermissionError | NotADirectoryError) or "Read-only file system" in str(error)


@contextmanager
def disk_faults(output: Path) -> Iterator[None]:
    """Turn faults of an output's disk, also those that Beam wrapped, into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise disk_full(output) from error
        if is_refused(error):
            raise InputError(f"{output} can't be written: {error}", code="F02") from error
        raise
