"""Rank every system on the same windows: `python -m benchmarks.quality --release ml-100k --split random`."""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.environment import prepare_environment
from data.errors import InputError

if TYPE_CHECKING:
    from benchmarks.scoring import Ranks, Scorer
    from benchmarks.windows import DataSet
    from pipeline.settings import Settings
    from trainer_module.inputs import Windows

    System = tuple[str, Callable[[DataSet], Scorer]]

_VALIDATION_SHARE = 0.1
_SEED = 42
_DECAYS = (0.5, 0.7, 0.85)
_DAMPINGS = (0.0, 0.25, 0.5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    prepare_environment()
    from pipeline.settings import load_settings

    try:
        overrides = {"release": options.release, "split": options.split}
        settings = load_settings(options.config or options.release, overrides)
        tutorial = load_settings("tutorial", overrides)
        peers = _peers(settings, options.work_dir) if options.peers else ()
        compare(settings, tutorial, options.source, options.work_dir, peers)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def compare(
    settings: Settings, tutorial: Settings, source: Path | None, work_dir: Path, peers: Iterable[System] = ()
) -> None:
    """Fit and rank every system, printing a row as soon as it is known."""
    from benchmarks.windows import read_data_set
    from data.generate import generate

    folder = work_dir / f"{settings.data.release}-{settings.data.split}"
    generate(settings.data, folder, source=source, progress=lambda line: print(line, file=sys.stderr))
    data = read_data_set(folder)
    print(
        f"{settings.data.release}, split {settings.data.split}, seed {settings.data.seed}: {len(data.train):,} train "
        f"and {len(data.evaluation):,} eval windows, {data.num_movies:,} movies in train\n"
    )
    _print_header()
    for name, fit in itertools.chain(_systems(settings, tutorial), peers):
        started = time.monotonic()
        ranks = _rank(fit(data), data.evaluation, data.num_movies)
        _print_row(name, ranks, time.monotonic() - started)


def _systems(settings: Settings, tutorial: Settings) -> Iterator[System]:
    from benchmarks.baselines import Popularity

    yield "popularity", lambda data: Popularity(data.train, data.num_movies).score
    yield "last-movie Markov", lambda data: _best_counting(data, decays=(0.0,))
    yield "decayed co-occurrence", lambda data: _best_counting(data, decays=_DECAYS)
    yield "tutorial", lambda data: _trained(data, tutorial)
    yield settings.name, lambda data: _trained(data, settings)


def _peers(settings: Settings, work_dir: Path) -> list[System]:
    """Return RecBole's models; their environment is made here, so that no row's seconds hold its making."""
    from benchmarks.peers.environment import make_peer_environment
    from benchmarks.peers.scorer import peer_scorer
    from benchmarks.peers.settings import OPTIONS

    python, folder = make_peer_environment(), work_dir / "peers"
    return [
        (
            f"RecBole {name}",
            functools.partial(peer_scorer, name, training=settings.training, folder=folder / name, python=python),
        )
        for name in OPTIONS
    ]


def _best_counting(data: DataSet, decays: Sequence[float]) -> Scorer:
    """Fit the co-occurrence baseline, decay and damping chosen on a validation slice of train."""
    from benchmarks.baselines import CoOccurrence
    from benchmarks.scoring import recall
    from trainer_module.inputs import hold_out

    fitted, validation = hold_out(data.train, _VALIDATION_SHARE, _SEED)

    def validation_recall(choice: tuple[float, float]) -> float:
        baseline = CoOccurrence(fitted, data.num_movies, decay=choice[0], damping=choice[1])
        return recall(_rank(baseline.score, validation, data.num_movies).left_out, 10)

    decay, damping = max(((decay, damping) for decay in decays for damping in _DAMPINGS), key=validation_recall)
    print(f"  decay {decay:g}, damping {damping:g} chosen on validation:", file=sys.stderr)
    return CoOccurrence(data.train, data.num_movies, decay=decay, damping=damping).score


def _trained(data: DataSet, settings: Settings) -> Scorer:
    """Fit a model as the pipeline's Trainer does."""
    from benchmarks.scoring import scorer_of
    from trainer_module.training import fit

    return scorer_of(fit(data.train, data.num_movies, settings.model, settings.training))


def _rank(score: Scorer, windows: Windows, num_movies: int) -> Ranks:
    from benchmarks.scoring import rank_windows

    return rank_windows(score, windows, num_movies)


def _print_header() -> None:
    print(
        "| system | " + " | ".join(f"recall@{k}" for k in (1, 5, 10, 50, 100)) + " | NDCG@10 | MRR | coverage@10 | s |"
    )
    print("| --- |" + " ---: |" * 9)


def _print_row(name: str, ranks: Ranks, seconds: float) -> None:
    from benchmarks.scoring import CUTOFFS, gains, interval, recall

    for of, kind in ((ranks.left_out, "context left out"), (ranks.unfiltered, "unfiltered")):
        cells = []
        for k in CUTOFFS:
            cell = f"{recall(of, k):.4f}"
            if k == 10:
                cell += " [{:.4f}, {:.4f}]".format(*interval(of <= k))
            cells.append(cell)
        cells.append("{:.4f} [{:.4f}, {:.4f}]".format(gains(of).mean(), *interval(gains(of))))
        cells.append(f"{(1 / of).mean():.4f}")
        filtered = kind == "context left out"
        cells.append(f"{ranks.recommended / ranks.num_movies:.3f}" if filtered else "")
        cells.append(f"{seconds:.0f}" if filtered else "")
        print(f"| {name}, {kind} | " + " | ".join(cells) + " |", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description="Compare the configured model with simple baselines and the tutorial's, on one eval split.",
    )
    parser.add_argument("--release", required=True, help="the MovieLens release")
    parser.add_argument("--source", type=Path, metavar="ZIP_OR_FOLDER", help="the release, if you have it")
    parser.add_argument("--split", default="random", help="random, leave-one-out or temporal (default: random)")
    parser.add_argument("--config", metavar="NAME_OR_FILE", help="the configuration (default: the release's own)")
    parser.add_argument(
        "--peers", action="store_true", help="RecBole's GRU4Rec and SASRec too, in an environment made for them (2 GB)"
    )
    parser.add_argument(
        "--work-dir", type=Path, default=Path("runs/benchmarks"), help="where windows are kept (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
