"""Rank every system on the same windows: `python -m benchmarks.quality --release ml-100k --split random`."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import add_release_options, release_overrides
from benchmarks.quality.search import VALIDATION_SEED, VALIDATION_SHARE
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.errors import InputError

if TYPE_CHECKING:
    from benchmarks.quality.scoring import Ranks, Scorer
    from benchmarks.quality.windows import DataSet
    from pipeline.settings import Settings
    from trainer_module.dataset import Windows

_DECAYS = (0.5, 0.7, 0.85)
_DAMPINGS = (0.0, 0.25, 0.5)


@dataclass(frozen=True)
class System:
    """Something that ranks movies.

    Attributes
    ----------
    name
        For its rows.
    made_of
        What decides on its ranks beside the windows, as JSON can spell it: settings, and digests of code.
    fit
        Makes its scorer from the train windows.
    reads_histories
        Whether its scorer is given whole histories, in place of contexts.
    """

    name: str
    made_of: Any
    fit: Callable[[DataSet], Scorer]
    reads_histories: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    from pipeline.settings import load_settings, with_values

    overrides = release_overrides(options)
    settings = load_settings(options.config or options.release, overrides)
    models = [load_settings(name, overrides) for name in ("tutorial", *options.also)]
    if options.peers or any(other.data.timelines for other in models):
        settings = with_values(settings, {"data.timelines": True})
    if any(other.model.reads == "history" for other in models):
        settings = with_values(settings, {"data.leave_out": "history"})
    systems = [*_baselines(), *(model_system(other) for other in models), model_system(settings)]
    _check_names(systems)
    if options.peers:
        systems += _peers(settings, options.work_dir)
    compare(settings, systems, options.source, options.work_dir)


def compare(settings: Settings, systems: Sequence[System], source: Path | None, work_dir: Path) -> None:
    """Fit and rank every system, printing a row as soon as it is known, and at last what tells them from ours.

    Ranks are kept in `work_dir/ranks`, and a system that was ranked before on the same windows is not fitted again.

    Parameters
    ----------
    settings
        The configuration that the others are compared with; one of the systems bears its name.
    systems
        What to rank, in the order of the rows.
    source
        The release's archive or folder; None if it may be downloaded.
    work_dir
        For windows and ranks.
    """
    from benchmarks.quality.rank_cache import keep_ranks
    from benchmarks.quality.windows import make_data_set

    data = make_data_set(settings.data, source, work_dir)
    print(
        f"{settings.data.release}, split {settings.data.split}, seed {settings.data.seed}: {len(data.train):,} train "
        f"and {len(data.evaluation):,} eval windows, {data.num_movies:,} movies in train; left out when ranking: "
        f"{settings.data.leave_out or 'context'}"
    )
    if data.cold_labels:
        print(
            f"{data.cold_labels:,} labels more are of users or movies that train never shows: they count in the rows "
            "with cold labels as misses alone"
        )
    print()
    _print_header()
    found: dict[str, Ranks] = {}
    for system in systems:
        ranked = keep_ranks(
            work_dir / "ranks", system.name, data, system.made_of, functools.partial(fit_and_rank, system, data)
        )
        _print_row(system.name, ranked.ranks, ranked.seconds, data.cold_labels)
        found[system.name] = ranked.ranks
    _print_differences(settings.name, found)


def fit_and_rank(system: System, data: DataSet) -> Ranks:
    """Fit a system to the train windows and rank the labels of the eval windows."""
    from benchmarks.quality.scoring import rank_windows

    score = system.fit(data)
    return rank_windows(score, data.evaluation, data.num_movies, data.histories, reads_histories=system.reads_histories)


def _check_names(systems: Sequence[System]) -> None:
    names = [system.name for system in systems]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two of the configurations are called {twice[0]!r}: give one of them another `name`", code="B06"
        )


def _baselines() -> list[System]:
    from benchmarks.quality.baselines import Popularity
    from benchmarks.quality.rank_cache import digest_of_code

    code = digest_of_code("benchmarks/quality/baselines.py", "benchmarks/quality/comparison.py")
    return [
        System("popularity", code, lambda data: Popularity(data.train, data.num_movies).score),
        System("last-movie Markov", code, lambda data: _best_counting(data, decays=(0.0,))),
        System("decayed co-occurrence", code, lambda data: _best_counting(data, decays=_DECAYS)),
    ]


def model_system(settings: Settings) -> System:
    """Return a configuration's model as a system to rank."""
    from pipeline.code_digest import code_digest

    made_of = [settings.model.model_dump(), settings.training.model_dump(), code_digest("trainer_module.training")]
    trained = functools.partial(_trained, settings=settings)
    return System(settings.name, made_of, trained, reads_histories=settings.model.reads == "history")


def _peers(settings: Settings, work_dir: Path) -> list[System]:
    """Return other libraries' models; environments are made here, so that no row's seconds hold their making."""
    from benchmarks.peers.environment import make_peer_environment
    from benchmarks.peers.scorer import peer_scorer
    from benchmarks.peers.settings import HELD_OUT_SHARE, HISTORY_LENGTH, PEERS
    from benchmarks.quality.rank_cache import digest_of_code

    training = settings.training.model_copy(update={"validation_fraction": HELD_OUT_SHARE})
    systems = []
    for peer in PEERS:
        python = make_peer_environment(peer.library)
        code = digest_of_code(
            "benchmarks/peers/fit.py",
            f"benchmarks/peers/fit_{peer.library.lower()}.py",
            "benchmarks/peers/scorer.py",
            "benchmarks/quality/windows.py",
        )
        folder = work_dir / "peers" / peer.name.replace(" ", "-")
        systems.append(
            System(
                peer.name,
                [peer.options, HISTORY_LENGTH, training.validation_fraction, training.seed, code],
                functools.partial(peer_scorer, peer=peer, training=training, folder=folder, python=python),
                reads_histories=peer.reads_histories,
            )
        )
    return systems


def _best_counting(data: DataSet, decays: Sequence[float]) -> Scorer:
    """Fit the co-occurrence baseline, decay and damping chosen on a validation slice of train."""
    from benchmarks.quality.baselines import CoOccurrence
    from benchmarks.quality.scoring import recall
    from trainer_module.dataset import hold_out

    fitted, validation = hold_out(data.train, VALIDATION_SHARE, VALIDATION_SEED)

    def validation_recall(choice: tuple[float, float]) -> float:
        baseline = CoOccurrence(fitted, data.num_movies, decay=choice[0], damping=choice[1])
        return recall(_rank(baseline.score, validation, data.num_movies).excluded, 10)

    decay, damping = max(((decay, damping) for decay in decays for damping in _DAMPINGS), key=validation_recall)
    print(f"  decay {decay:g}, damping {damping:g} chosen on validation:", file=sys.stderr)
    return CoOccurrence(data.train, data.num_movies, decay=decay, damping=damping).score


def _trained(data: DataSet, settings: Settings) -> Scorer:
    """Fit a model as the pipeline's Trainer does."""
    from benchmarks.quality.scoring import scorer_of
    from trainer_module.training import fit

    return scorer_of(fit(data.train_for(settings.training), data.num_movies, settings.model, settings.training))


def _rank(score: Scorer, windows: Windows, num_movies: int) -> Ranks:
    from benchmarks.quality.scoring import rank_windows

    return rank_windows(score, windows, num_movies)


def _print_header() -> None:
    print(
        "| system | " + " | ".join(f"recall@{k}" for k in (1, 5, 10, 50, 100)) + " | NDCG@10 | MRR | coverage@10 | s |"
    )
    print("| --- |" + " ---: |" * 9)


def _print_row(name: str, ranks: Ranks, seconds: float, cold_labels: int = 0) -> None:
    import numpy as np

    from benchmarks.quality.scoring import CUTOFFS, gains, interval, recall

    rows = [(ranks.excluded, "context left out"), (ranks.unfiltered, "unfiltered")]
    if cold_labels:
        rows.append((np.append(ranks.excluded, np.full(cold_labels, np.inf)), "cold labels as misses"))
    for of, kind in rows:
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


def _print_differences(ours: str, found: Mapping[str, Ranks]) -> None:
    """Print how far ours is ahead of each other system on the same queries, context left out."""
    from benchmarks.quality.scoring import gains, interval

    print(f"\n| {ours} against | recall@10 | NDCG@10 |\n| --- | ---: | ---: |")
    for name, ranks in found.items():
        if name == ours:
            continue
        cells = []
        for figure in (lambda of: (of.excluded <= 10).astype(float), lambda of: gains(of.excluded)):
            difference = figure(found[ours]) - figure(ranks)
            cells.append("{:+.4f} [{:+.4f}, {:+.4f}]".format(difference.mean(), *interval(difference)))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.quality",
        description="Compare the configured model with simple baselines and the tutorial's, on one eval split.",
    )
    add_release_options(parser)
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME_OR_FILE", help="another configuration's model, for a row"
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="models of RecBole and RecTools too, in environments of their own (2 GB each)",
    )
    return parser
