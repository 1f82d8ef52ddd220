"""How generation grows: `python -m benchmarks.scale --ratings 100000 1000000 10000000 25000000`.

The same synthetic ratings lie there in MovieLens's `.dat`, and as a person's own data in CSV and Parquet. Each is read,
split, turned into examples and written in a process of its own, whose time and memory are taken. Larger sizes are
copies of a million ratings whose users are others: movies stay as many as they are, and what is popular stays popular.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import describe_machine, give_result, growth_exponent, markdown_table, measure, positive_int
from benchmarks.synthetic import write_ml_1m_like
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.options import GenerateOptions
from data.user_files import user_path

FORMATS = ("dat", "csv", "parquet")
_BASE = 1_000_000
"""Ratings that are drawn; more are copies of them."""

_MIN_RATING = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    if options.only:
        give_result(_generate(options.only, options.source, options.output))
    else:
        _compare(options.ratings, options.formats, options.folder)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--ratings", type=positive_int, nargs="+", default=[100_000, 1_000_000, 10_000_000], metavar="N"
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="which files (default: all)")
    parser.add_argument("--folder", type=user_path, metavar="DIR", help="where the files go for a while")
    # How the benchmark calls itself, to measure each run in a process of its own.
    parser.add_argument("--only", choices=FORMATS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=user_path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=user_path, help=argparse.SUPPRESS)
    return parser


def _compare(sizes: Sequence[int], formats: Sequence[str], folder: Path | None) -> None:
    rows = []
    costs: dict[str, list[dict[str, Any]]] = {name: [] for name in formats}
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            source = Path(scratch) / "source"
            write_files(source, size, formats)
            for name in formats:
                output = Path(scratch) / f"made-of-{name}"
                arguments = ("--only", name, "--source", str(source.resolve()), "--output", str(output))
                cost = measure("benchmarks.scale", *arguments).result
                costs[name].append(cost)
                figures = [f"{cost['seconds']:.1f}", f"{cost['cpu_seconds']:.1f}", f"{cost['peak_mib']:.0f}"]
                rows.append([f"{cost['ratings']:,}", name, *figures])
    print(f"{describe_machine()}\n\n{markdown_table(['ratings', 'file', 's', 'CPU, s', 'peak MiB'], rows)}")
    if len(sizes) > 1:
        for name, of_format in costs.items():
            counted = [cost["ratings"] for cost in of_format]
            exponents = [
                growth_exponent(counted, [cost[key] for cost in of_format])
                for key in ("seconds", "cpu_seconds", "peak_mib")
            ]
            print("\n{}: seconds grow to the power of {:.2f}, CPU {:.2f}, memory {:.2f}".format(name, *exponents))


def write_files(folder: Path, num_ratings: int, formats: Sequence[str]) -> None:
    """Write synthetic ratings in some formats: `ratings.dat` with `movies.dat`, `ratings.csv`, `ratings.parquet`.

    Parameters
    ----------
    folder
        Is created if missing.
    num_ratings
        How many, nearly: those of a million are copied as often as it takes, and users numbered on.
    formats
        Some of `FORMATS`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    write_ml_1m_like(folder, min(num_ratings, _BASE))
    drawn = (folder / "ratings.dat").read_bytes().replace(b"::", b",")
    names = ["user", "item", "rating", "timestamp"]
    base = pacsv.read_csv(pa.BufferReader(drawn), read_options=pacsv.ReadOptions(column_names=names))
    users = pc.max(base["user"]).as_py()
    without_header = pacsv.WriteOptions(include_header=False)
    with (
        (folder / "ratings.dat").open("wb") as dat,
        pacsv.CSVWriter(folder / "ratings.csv", base.schema) as csv,
        pq.ParquetWriter(folder / "ratings.parquet", base.schema) as parquet,
    ):
        for copy in range(max(1, round(num_ratings / base.num_rows))):
            part = base.set_column(0, "user", pc.add(base["user"], copy * users))
            if "dat" in formats:
                text = pa.BufferOutputStream()
                pacsv.write_csv(part, text, without_header)
                dat.write(text.getvalue().to_pybytes().replace(b",", b"::"))
            if "csv" in formats:
                csv.write_table(part)
            if "parquet" in formats:
                parquet.write_table(part)


def _generate(name: str, source: Path, output: Path) -> dict[str, Any]:
    """Generate in this process, and return its cost and the number of ratings."""
    prepare_environment()
    from data.generate import generate

    started, cpu_started = time.monotonic(), time.process_time()
    if name == "dat":
        manifest = generate(GenerateOptions(release="ml-1m"), output, source=source)
    else:
        options = GenerateOptions(name="synthetic", min_rating=_MIN_RATING)
        manifest = generate(options, output, interactions=str(source / f"ratings.{name}"))
    return {
        "ratings": manifest.counts.ratings,
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
