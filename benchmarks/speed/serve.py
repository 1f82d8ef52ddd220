"""How fast a published model answers: `python -m benchmarks.serve_speed`.

Models of the default width with untrained weights, exported as the Trainer does, are loaded in a fresh process each and
asked through their signatures `serving_default` and `filtered` in turn, a request at a time. An answer is a hundred
movies. Then a file of histories is answered as `recommend.py --batch` does, ten movies each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import (
    Measurement,
    describe_machine,
    give_result,
    latency_percentiles,
    markdown_table,
    measure,
    positive_int,
)
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.errors import InputError
from data.user_files import user_path

if TYPE_CHECKING:
    from serving.recommender import Recommender

_EXPORT = "export"
_ASK = "ask"
_BATCHES = (1, 64)
_CATALOGUES = (4_000, 40_000, 400_000)
_HISTORY = 10
_HISTORIES = 6_000
"""In the file that is answered."""

_WARM_UP_REQUESTS = 10
_SEED = 42


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    if options.part == _EXPORT:
        _export(options.model, options.movies[0])
    elif options.part == _ASK:
        give_result(_ask(options.model, options.requests))
    elif options.model is not None:
        _print_table([_asked(_published(options.model), options.requests)], options.requests)
    else:
        _print_table([_exported_and_asked(movies, options.requests) for movies in options.movies], options.requests)


def answer_rows(result: dict[str, Any], peak_mib: float) -> list[list[str]]:
    """Return a table of what a process found about one model, a row for each batch size.

    Parameters
    ----------
    result
        `movies` in the catalogue, `load_seconds`, `milliseconds`, `{batch and signature: [one a request]}`, and
        `histories_a_second` of a file.
    peak_mib
        Of the process.
    """
    rows = []
    for asked, milliseconds in result["milliseconds"].items():
        batch, _, signature = asked.partition(" ")
        percentiles = [f"{value:.1f}" for value in latency_percentiles(milliseconds)]
        queries = int(batch) * len(milliseconds) / (sum(milliseconds) / 1000)
        rows.append(
            [
                f"{result['movies']:,} movies, batch {batch}{f', {signature}' if signature else ''}",
                *percentiles,
                f"{queries:,.0f}",
                f"{result['load_seconds']:.1f}",
                f"{peak_mib:.0f}",
            ]
        )
    name = f"{result['movies']:,} movies, a file of histories"
    rows.append([name, "", "", "", f"{result['histories_a_second']:,.0f}", "", f"{peak_mib:.0f}"])
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.serve_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--movies",
        type=positive_int,
        nargs="+",
        default=list(_CATALOGUES),
        metavar="N",
        help="sizes of the catalogues (default: 4000 40000 400000)",
    )
    parser.add_argument("--model", type=user_path, metavar="DIR", help="a published version in their place")
    parser.add_argument(
        "--requests", type=positive_int, default=300, metavar="N", help="timed requests a batch size (default: 300)"
    )
    # How the benchmark calls itself, to measure each part in a process of its own.
    parser.add_argument("--part", choices=(_EXPORT, _ASK), help=argparse.SUPPRESS)
    return parser


def _exported_and_asked(movies: int, requests: int) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="serve-speed-") as folder:
        model = Path(folder) / "model"
        print(f"{movies:,} movies ...", file=sys.stderr, flush=True)
        measure("benchmarks.serve_speed", "--part", _EXPORT, "--model", str(model), "--movies", str(movies))
        return _asked(model, requests)


def _published(folder: Path) -> Path:
    from data.releases.catalogue import CATALOGUE_FILE
    from serving.newest_model import resolve_model

    model = resolve_model(folder)
    if not (model / "saved_model.pb").is_file() or not (model / "assets.extra" / CATALOGUE_FILE).is_file():
        raise InputError(
            f"{folder} holds no published model: name a version's folder, or leave --model out", code="M04"
        )
    return model


def _asked(model: Path, requests: int) -> Measurement:
    arguments = ["--model", str(model.resolve()), "--requests", str(requests)]
    return measure("benchmarks.serve_speed", "--part", _ASK, *arguments)


def _print_table(measurements: Sequence[Measurement], requests: int) -> None:
    print(f"{describe_machine()}; {requests} requests each, histories of 1 to {_HISTORY} movies\n")
    header = ["model", "p50 ms", "p95 ms", "p99 ms", "queries/s", "load s", "peak MiB"]
    rows = [row for measurement in measurements for row in answer_rows(measurement.result, measurement.peak_mib)]
    print(markdown_table(header, rows))


def _export(folder: Path, num_movies: int) -> None:
    # The tests' own maker of such models, which goes through the Transform step's analysis and the Trainer's export.
    sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
    from synthetic_model import export_untrained_model

    export_untrained_model(folder, num_movies)


def _ask(folder: Path, requests: int) -> dict[str, Any]:
    """Load a model in this process, and time its answers."""
    import numpy as np
    import tensorflow as tf

    from data.features import CONTEXT_MOVIE_ID, PAD_MOVIE_ID
    from data.releases.catalogue import CATALOGUE_FILE, Catalogue
    from serving.filters import SIGNATURE, Filters, filter_inputs
    from serving.recommender import Recommender

    started = time.monotonic()
    model = tf.saved_model.load(str(folder))
    load_seconds = time.monotonic() - started
    catalogue = Catalogue.load(folder / "assets.extra" / CATALOGUE_FILE)
    random = np.random.default_rng(_SEED)
    milliseconds: dict[str, list[float]] = {}
    for batch in _BATCHES:
        plain: list[float] = []
        filtered: list[float] = []
        filters = Filters(
            deny=tuple(random.choice(catalogue.ids, _HISTORY).tolist()),
            genres=catalogue.genre_names()[:2],
            first_year=int(catalogue.years.min()),
        )
        narrowed = {
            name: tf.constant(value)
            for name, value in filter_inputs([filters] * batch, [False] * batch, PAD_MOVIE_ID).items()
        }
        for _ in range(_WARM_UP_REQUESTS + requests):
            history = random.choice(catalogue.ids, [batch, _HISTORY])
            lengths = random.integers(1, _HISTORY + 1, [batch, 1])
            asked = {CONTEXT_MOVIE_ID: tf.constant(np.where(np.arange(_HISTORY) < lengths, history, PAD_MOVIE_ID))}
            for signature, inputs, taken in (
                ("serving_default", asked, plain),
                (SIGNATURE, {**asked, **narrowed}, filtered),
            ):
                before = time.monotonic()
                model.signatures[signature](**inputs)["movie_id"].numpy()
                taken.append(1000 * (time.monotonic() - before))
        milliseconds[str(batch)] = plain[_WARM_UP_REQUESTS:]
        milliseconds[f"{batch} {SIGNATURE}"] = filtered[_WARM_UP_REQUESTS:]
    return {
        "movies": len(catalogue),
        "load_seconds": load_seconds,
        "milliseconds": milliseconds,
        "histories_a_second": _answer_file(Recommender(model, catalogue)),
    }


def _answer_file(recommender: Recommender) -> float:
    """Return how many histories of a file are answered in a second, the best of three times."""
    import numpy as np

    from serving.batch_inference import recommend_file
    from serving.batch_job import BatchJob

    random = np.random.default_rng(_SEED)
    histories = random.choice(recommender.catalogue.ids, [_HISTORIES, _HISTORY]).tolist()
    with tempfile.TemporaryDirectory(prefix="serve-speed-") as folder:
        source, target = Path(folder) / "histories.jsonl", Path(folder) / "answers.jsonl"
        source.write_text("".join(f"{json.dumps(history)}\n" for history in histories), encoding="utf-8")
        rates = []
        for _ in range(3):
            started = time.monotonic()
            answered = recommend_file(recommender, BatchJob(source, target))
            rates.append(answered / (time.monotonic() - started))
    return max(rates)
