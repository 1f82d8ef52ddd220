"""Running a command as a process of its own, and saying what it took."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measurement:
    """What a finished process took.

    Attributes
    ----------
    seconds
        From start to end.
    cpu_seconds
        User and system time, of all its threads and waited-for children.
    peak_mib
        The largest resident set of the process.
    output
        Its standard output.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str


def measure(module: str, *arguments: str) -> Measurement:
    """Run `python -m module arguments` and wait for it.

    Raises
    ------
    RuntimeError
        It failed; the message ends in what it wrote to standard error.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Both pipes are read to their ends before the process is reaped, here and not by subprocess, which would throw
    # away the accounting.
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(process.stderr.read)
        output, errors = process.stdout.read(), reading.result()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{module} failed with code {process.returncode}: {errors.strip()[-2000:]}")
    return Measurement(
        seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
        output=output,
    )


def describe_machine() -> str:
    """Name the machine's size and the versions that matter, for the heading of a table."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, Python {platform.python_version()}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a table, the first column to the left and the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def growth_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of log cost over log size by least squares; 1 is linear growth."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
