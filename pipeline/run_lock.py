"""The lock of a work directory: one process at a time writes there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import InputError
from data.full_disk import disk_full, is_disk_full


@contextmanager
def only_run_in(work_dir: Path) -> Iterator[None]:
    """Refuse a second run in the work directory, which is made if it is missing.

    Raises
    ------
    InputError
        Another run is at work there, or the folder can't be written.
    """
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work_dir / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another run is at work in {work_dir}: wait for it, or name another --work-dir", code="F12"
        ) from error
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(work_dir) from error
        raise InputError(
            f"{work_dir} can't be written: name another --work-dir ({error.strerror})", code="F03"
        ) from error
    try:
        yield
    finally:
        lock.release()
