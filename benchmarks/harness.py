"""Running a command as a process of its own, and saying what it and its steps took."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from data.errors import InputError
from data.splits import SPLIT_CHOICES
from data.user_files import user_path

if TYPE_CHECKING:
    from data.examples.manifest import Manifest
    from data.options import GenerateOptions

SYNTHETIC_RELEASE = "ml-1m"
"""Whose format and shape synthetic ratings have."""

_ROOT = Path(__file__).resolve().parent.parent
_SAMPLE_SECONDS = 0.05
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


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

    @property
    def result(self) -> dict[str, Any]:
        """What the process said by `give_result`."""
        return json.loads(self.output.rstrip().rsplit("\n", 1)[-1])


def measure(module: str, *arguments: str, show_errors: bool = False) -> Measurement:
    """Run `python -m module arguments` and wait for it.

    Parameters
    ----------
    module, arguments
        What to run.
    show_errors
        Pass on what it writes to standard error while it runs, for a person who waits.

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
        encoding="utf-8",
        errors="replace",
    )
    # Both pipes are read to their ends before the process is reaped, here and not by subprocess, which would throw
    # away the accounting.
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(_read_all, process.stderr, sys.stderr if show_errors else None)
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


def give_result(result: dict[str, Any]) -> None:
    """Hand a result to the process that measures this one: the last line of standard output."""
    print(json.dumps(result), flush=True)


@dataclass(frozen=True)
class Cost:
    """What a part of this process took.

    Attributes
    ----------
    name
        The part's.
    seconds, cpu_seconds
        As in `Measurement`.
    peak_mib
        The largest resident set seen in it, that of child processes apart.
    """

    name: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


class Meter:
    """Takes what the parts of this process cost, one after the other.

    Memory is sampled in a thread.

    Attributes
    ----------
    costs
        Of the parts that are over, in their order.
    """

    def __init__(self) -> None:
        self.costs: list[Cost] = []
        self._peak_mib = 0.0
        self._stopped = threading.Event()

    def __enter__(self) -> Meter:
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._sampler.join()

    def begin(self) -> None:
        """Start a part."""
        self._started, self._cpu_started = time.monotonic(), _cpu_seconds()
        self._peak_mib = resident_mib()

    def end(self, name: str) -> None:
        """End the part that was started last."""
        seconds, cpu_seconds = time.monotonic() - self._started, _cpu_seconds() - self._cpu_started
        self.costs.append(Cost(name, seconds, cpu_seconds, max(self._peak_mib, resident_mib())))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a block."""
        self.begin()
        yield
        self.end(name)

    def _sample(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            self._peak_mib = max(self._peak_mib, resident_mib())


def costs_to_json(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """Spell costs for `give_result`."""
    return [asdict(cost) for cost in costs]


def costs_from_json(costs: Sequence[dict[str, Any]]) -> list[Cost]:
    """Read what `costs_to_json` spelt."""
    return [Cost(**cost) for cost in costs]


def total_cost(name: str, costs: Sequence[Cost]) -> Cost:
    """Add parts up that ran one after the other; zeros for none."""
    return Cost(
        name,
        seconds=sum(cost.seconds for cost in costs),
        cpu_seconds=sum(cost.cpu_seconds for cost in costs),
        peak_mib=max((cost.peak_mib for cost in costs), default=0.0),
    )


def latency_percentiles(milliseconds: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99 of at least one latency, as `numpy.percentile` interpolates them."""
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return float(p50), float(p95), float(p99)


def resident_mib(pid: int | None = None) -> float:
    """Return the resident set of a process, by default of this one."""
    return int(Path(f"/proc/{pid or 'self'}/statm").read_text(encoding="utf-8").split()[1]) * _PAGE_MIB


def describe_machine() -> str:
    """Name the machine's size and the versions that matter, for the heading of a table."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, Python {platform.python_version()}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table, the first column to the left and the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def growth_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of log cost over log size by least squares; 1 is linear growth."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which ratings a benchmark is about."""
    parser.add_argument(
        "--ratings",
        type=positive_int,
        default=1_000_000,
        metavar="N",
        help="synthetic ratings in the shape of MovieLens-1M (default: %(default)s)",
    )
    parser.add_argument("--source", type=user_path, metavar="ZIP_OR_FOLDER", help="a real release in their place")
    parser.add_argument(
        "--release", default=SYNTHETIC_RELEASE, help="which release --source is, or `sample` (default: %(default)s)"
    )
    parser.add_argument("--config", metavar="NAME_OR_FILE", help="our configuration (default: the release's own)")


def add_release_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which real release a comparison of models is about."""
    parser.add_argument("--release", required=True, help="the MovieLens release, or `sample`")
    parser.add_argument("--source", type=user_path, metavar="ZIP_OR_FOLDER", help="the release, if you have it")
    parser.add_argument("--split", help=f"{SPLIT_CHOICES} (default: the configuration's)")
    parser.add_argument("--config", metavar="NAME_OR_FILE", help="the configuration (default: the release's own)")
    parser.add_argument(
        "--max-context-length",
        type=positive_int,
        metavar="N",
        help="movies in a context (default: the configuration's)",
    )
    parser.add_argument(
        "--work-dir",
        type=user_path,
        default=Path("runs/benchmarks"),
        help="where windows are kept (default: %(default)s)",
    )


def release_overrides(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the options of `add_release_options` say about the data, above a configuration's own."""
    overrides = {"release": options.release}
    if options.split is not None:
        overrides["split"] = options.split
    if options.max_context_length is not None:
        overrides["max_context_length"] = options.max_context_length
    return overrides


def repeat_data_options(options: argparse.Namespace) -> list[str]:
    """Spell what a part of a benchmark, in a process of its own, has to know of them: not where the ratings are."""
    spelt = ["--release", options.release]
    if options.config is not None:
        # The process has another working directory.
        file = Path(options.config)
        spelt += ["--config", str(file.resolve()) if file.is_file() else options.config]
    return spelt


def generate_data(options: argparse.Namespace, wanted: GenerateOptions, folder: Path) -> Manifest:
    """Generate the examples of the ratings that the options name into `folder/data`.

    Raises
    ------
    InputError
        The source can't be used, or the folder holds something already.
    """
    from benchmarks.synthetic import write_ml_1m_like
    from data.generate import generate

    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: name a new folder", code="B03")

    source = options.source
    if _is_synthetic(options):
        source = folder / "release"
        write_ml_1m_like(source, options.ratings)
    return generate(wanted, data_root(folder), source=source)


def data_root(folder: Path) -> Path:
    """Return where `generate_data` puts the examples."""
    return folder / "data"


def describe_data(options: argparse.Namespace, manifest: Manifest) -> str:
    """Name the data, for the heading of a table."""
    counts = manifest.counts
    kind = "synthetic ratings" if _is_synthetic(options) else f"ratings of {manifest.release}"
    return f"{counts.ratings:,} {kind}, {counts.train:,} train and {counts.eval:,} eval examples"


def positive_int(text: str) -> int:
    """Read a command line's count.

    Raises
    ------
    argparse.ArgumentTypeError
        It is no whole number above zero.
    """
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


def _is_synthetic(options: argparse.Namespace) -> bool:
    return options.source is None and options.release == SYNTHETIC_RELEASE


def _read_all(pipe: IO[str], copy: IO[str] | None) -> str:
    lines = []
    for line in pipe:
        lines.append(line)
        if copy is not None:
            copy.write(line)
            copy.flush()
    return "".join(lines)


def _cpu_seconds() -> float:
    """Return user and system time, of waited-for children too."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
