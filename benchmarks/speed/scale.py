"""How generation and the pipeline's steps grow: `python -m benchmarks.scale --ratings 100000 1000000 10000000`.

The same synthetic ratings lie there in MovieLens's `.dat`, and as a person's own data in CSV and Parquet. Each is read,
split, turned into examples and written in a process of its own, whose time and memory are taken. Larger sizes are
copies of a million ratings whose users are others: movies stay as many as they are, and what is popular stays popular.

With `--source` the ratings are real ones of ml-latest-small, expanded fractally: users and movies become more, and what
is popular becomes popular by the same pattern (`benchmarks.fractal`). They lie there as own data, in Parquet alone.

With `--steps` the pipeline runs over the examples too, in a process of its own, with a Trainer that reads the windows
and exports a model without a step of training. A step's memory is what the process held meanwhile, also of the steps
before it.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.harness import (
    Meter,
    costs_to_json,
    describe_machine,
    give_result,
    growth_exponent,
    markdown_table,
    measure,
    positive_int,
)
from benchmarks.synthetic import write_ml_1m_like
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.options import GenerateOptions
from data.user_files import user_path
from pipeline.tfx_imports import defer_cloud_extensions

FORMATS = ("dat", "csv", "parquet")
_RELEASE = "ml-1m"
"""Whose format and configuration the ratings in `.dat` have."""

_NAME = "synthetic"
"""Of own data."""

_OF_EXPANDED = ("parquet",)
_REAL_RELEASE = "ml-latest-small"

_STEPS = "steps"
_SHOWN_STEPS = ("StatisticsGen", "Transform", "Trainer", "Evaluator", "RunReport")

_BASE = 1_000_000
"""Ratings that are drawn; more are copies of them."""

_MIN_RATING = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    if options.only == _STEPS:
        give_result(_run_steps(options.source, options.output))
    elif options.only:
        give_result(_generate(options.only, options.source, options.output))
    else:
        _compare(options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--ratings", type=positive_int, nargs="+", default=[100_000, 1_000_000, 10_000_000], metavar="N"
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="which files (default: all)")
    parser.add_argument(
        "--source", type=user_path, metavar="FOLDER", help="the real ml-latest-small, to be expanded fractally"
    )
    parser.add_argument("--folder", type=user_path, metavar="DIR", help="where the files go for a while")
    parser.add_argument(
        "--steps", action="store_true", help="run the pipeline over the examples of the first format too"
    )
    # How the benchmark calls itself, to measure each run in a process of its own.
    parser.add_argument("--only", choices=(*FORMATS, _STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=user_path, help=argparse.SUPPRESS)
    return parser


def _compare(options: argparse.Namespace) -> None:
    """Measure all sizes, and print a table and how each of its parts grows."""
    formats = _OF_EXPANDED if options.source is not None else options.formats
    grown: dict[str, list[dict[str, Any]]] = {}
    for size in options.ratings:
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            source, made = Path(scratch).resolve() / "source", Path(scratch).resolve() / "made"
            if options.source is not None:
                write_expanded(source, options.source, size)
            else:
                write_files(source, size, formats)
            for name in formats:
                cost = _measured(name, source, made / name)
                grown.setdefault(f"generation from .{name}", []).append(cost)
            if options.steps:
                ratings = grown[f"generation from .{formats[0]}"][-1]["ratings"]
                for step in _measured(_STEPS, made / formats[0], made / "runs")["steps"]:
                    grown.setdefault(step["name"], []).append({**step, "ratings": ratings})
    print(f"{describe_machine()}\n\n{growth_table(grown)}")
    if len(options.ratings) > 1:
        print(f"\n{exponent_table(grown)}")


def _measured(part: str, source: Path, output: Path) -> dict[str, Any]:
    print(f"{part} ...", file=sys.stderr, flush=True)
    return measure("benchmarks.scale", "--only", part, "--source", str(source), "--output", str(output)).result


def growth_table(grown: dict[str, list[dict[str, Any]]]) -> str:
    """Return a table of what each part took at each size: dictionaries with `ratings` and the keys of `Cost`."""
    rows = [
        [
            f"{cost['ratings']:,}",
            name,
            f"{cost['seconds']:.1f}",
            f"{cost['cpu_seconds']:.1f}",
            f"{cost['peak_mib']:.0f}",
        ]
        for name, costs in grown.items()
        for cost in costs
    ]
    return markdown_table(["ratings", "part", "s", "CPU, s", "peak MiB"], rows)


def exponent_table(grown: dict[str, list[dict[str, Any]]]) -> str:
    """Return a table of the powers of the number of ratings to which each part's cost grows."""
    rows = []
    for name, costs in grown.items():
        ratings = [cost["ratings"] for cost in costs]
        keys = ("seconds", "cpu_seconds", "peak_mib")
        rows.append([name, *(f"{growth_exponent(ratings, [cost[key] for cost in costs]):.2f}" for key in keys)])
    return markdown_table(["grows to the power of", "s", "CPU, s", "peak MiB"], rows)


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


def write_expanded(folder: Path, source: Path, num_ratings: int) -> None:
    """Write the ratings of ml-latest-small, expanded fractally, as `ratings.parquet`.

    Raises
    ------
    InputError
        The source is not that release's archive or folder.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from benchmarks.fractal import Ratings, expand
    from data.releases.archives import open_source
    from data.releases.reading import ReleaseReader
    from data.releases.release import find_release

    release = find_release(_REAL_RELEASE)
    read = np.concatenate(list(ReleaseReader(open_source(source, release.files), release).ratings()))
    user, item = (np.unique(read[name], return_inverse=True)[1] for name in ("user", "movie"))
    folder.mkdir(parents=True)
    columns = {"user": pa.int64(), "item": pa.int64(), "rating": pa.float64(), "timestamp": pa.int64()}
    schema = pa.schema(list(columns.items()))
    with pq.ParquetWriter(folder / "ratings.parquet", schema) as file:
        for part in expand(Ratings(user, item, read["stars"].astype(float), read["time"]), num_ratings):
            file.write_table(pa.table([part.user, part.item, part.stars, part.time], schema=schema))


def _generate(name: str, source: Path, output: Path) -> dict[str, Any]:
    """Generate in this process, and return its cost and the number of ratings."""
    prepare_environment()
    from data.generate import generate

    started, cpu_started = time.monotonic(), time.process_time()
    if name == "dat":
        manifest = generate(GenerateOptions(release=_RELEASE), output, source=source)
    else:
        options = GenerateOptions(name=_NAME, min_rating=_MIN_RATING)
        manifest = generate(options, output, interactions=str(source / f"ratings.{name}"))
    return {
        "ratings": manifest.counts.ratings,
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _run_steps(examples: Path, work_dir: Path) -> dict[str, Any]:
    """Run the pipeline over generated examples in this process, without training, and return what each step took."""
    prepare_environment()
    defer_cloud_extensions()
    from tfx import v1 as tfx

    from benchmarks.speed.pipeline import StepClock
    from data.examples.manifest import Manifest
    from pipeline import pipeline
    from pipeline.local import lay_out
    from pipeline.runs.progress import progress_shown
    from pipeline.settings import load_settings, settings_for_own_data

    manifest = Manifest.load(examples)
    settings = load_settings(_RELEASE)
    if manifest.release is None:
        settings = settings.model_copy(update={"data": settings_for_own_data({"name": _NAME}).data})
    untrained = mock.patch.object(pipeline, "RUN_FN", "benchmarks.speed.untrained_trainer.run_fn")
    with Meter() as meter, untrained, contextlib.redirect_stdout(sys.stderr), progress_shown(verbose=False) as steps:
        graph = pipeline.create_pipeline(settings, lay_out(settings, manifest, examples, work_dir))
        logging.getLogger("absl").addHandler(StepClock(steps, meter))
        tfx.orchestration.LocalDagRunner().run(graph)
    return {"steps": [cost for cost in costs_to_json(meter.costs) if cost["name"] in _SHOWN_STEPS]}
