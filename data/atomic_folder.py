"""Write a folder as a whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import InputError
from data.full_disk import disk_full, is_disk_full


@contextmanager
def exclusive(output: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder; wait for another process that holds it.

    The lock is a hidden file beside the folder. It belongs to the process and ends with it.

    Raises
    ------
    InputError
        The folder's parent can't be written.
    """
    lock = FileLock(_sibling(output, "lock"))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            # A lock that can't be made looks like one that another process holds: here the reason is raised.
            with tempfile.TemporaryFile(dir=output.parent):
                pass
            progress(f"another run is writing {output}; waiting for it")
            lock.acquire()
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(output.parent) from error
        raise InputError(f"{output.parent} can't be written: {error.strerror or error}", code="F02") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Yield an empty folder beside the output, which replaces the output if the block ends without an error.

    Its name is another one each time: what a lost run's workers still write goes nowhere.

    To be used within `exclusive`. A process that is killed leaves the former output as it was, or, in the
    moment between two renames, under another name; the next run puts it back. A failed block leaves nothing.

    Parameters
    ----------
    output
        The folder to write or replace.

    Yields
    ------
    Path
        The folder to fill.
    """
    with staged_together([output]) as [staging]:
        yield staging


@contextmanager
def staged_together(outputs: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield an empty folder for each of some outputs, as `staged` does for one; they are replaced in their order.

    A process that is killed while it replaces them leaves the first ones new.
    """
    stagings = []
    try:
        for output in outputs:
            recover(output)
            lost = re.compile(rf"{re.escape(_sibling(output, 'partial').name)}(-[0-9a-f]{{12}})?")
            for path in output.parent.iterdir():
                if lost.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
            staging = _sibling(output, f"partial-{uuid.uuid4().hex[:12]}")
            staging.mkdir(parents=True)
            stagings.append(staging)
        yield stagings
    except BaseException:
        for staging in stagings:
            shutil.rmtree(staging, ignore_errors=True)
        raise
    for output, staging in zip(outputs, stagings, strict=True):
        former = _sibling(output, "former")
        if output.exists():
            output.replace(former)
        staging.replace(output)
        shutil.rmtree(former, ignore_errors=True)


def recover(output: Path) -> None:
    """Finish what a killed run left between its two renames."""
    former = _sibling(output, "former")
    if not former.exists():
        return
    if output.exists():
        shutil.rmtree(former, ignore_errors=True)
    else:
        former.replace(output)


def _sibling(output: Path, suffix: str) -> Path:
    return output.with_name(f".{output.name}.{suffix}")
