"""A disk without space, or a share of it that is used up: one sign of it, and one line about it."""

from __future__ import annotations

import errno
import re
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
