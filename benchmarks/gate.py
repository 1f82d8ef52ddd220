"""How often the model gate is wrong: `python -m benchmarks.gate --release ml-100k --split leave-one-out`.

One configuration is fitted with several seeds. Any two of these models are equally good, so that a gate that refuses
one of them against the other is wrong. The same configuration with a setting that makes it worse (`--worse`) is held
against them too: a gate that lets it pass is wrong. Rules are compared on the eval split as it is, and on random parts
of it that are as large as the eval splits of other releases (`--queries`).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import add_release_options, markdown_table, positive_int, release_overrides
from benchmarks.search import read_variation
from components.evaluation.paired_difference import PairedDifference, paired_difference
from components.gate_settings import ModelGateSettings
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.errors import InputError

if TYPE_CHECKING:
    from benchmarks.windows import DataSet
    from pipeline.settings import Settings

_DEFAULT_SEEDS = [42, 43, 44, 45, 46]
_DRAWS = 100
"""Random parts of the eval split for each pair of models."""

_TOP = 10


@dataclass(frozen=True)
class Verdicts:
    """What became of pairs of models, on eval splits of one size.

    Attributes
    ----------
    queries
        Size of the eval split.
    differences
        One for each pair and each draw.
    """

    queries: int
    differences: list[PairedDifference]

    def refused(self, rule: Callable[[PairedDifference], bool]) -> float:
        """Return the share of candidates that a rule refuses."""
        return float(np.mean([not rule(difference) for difference in self.differences]))

    @property
    def mean(self) -> float:
        """The mean difference."""
        return float(np.mean([difference.mean for difference in self.differences]))

    @property
    def half_width(self) -> float:
        """Half of the intervals' mean width."""
        return float(np.mean([(difference.high - difference.low) / 2 for difference in self.differences]))

    @property
    def without_zero(self) -> float:
        """The share of intervals that don't hold zero."""
        return float(np.mean([not difference.low <= 0 <= difference.high for difference in self.differences]))


def rules(gate: ModelGateSettings) -> dict[str, Callable[[PairedDifference], bool]]:
    """Return the rules that are compared, by name: whether the gate lets a difference pass."""
    drop = gate.max_recall_at_10_drop
    return {
        "point estimates": lambda found: found.mean >= -drop,
        "the gate": lambda found: found.margin(drop, non_inferior=False) >= 0,
        "the gate, non_inferior": lambda found: found.margin(drop, non_inferior=True) >= 0,
    }


def judge_pairs(pairs: Sequence[tuple[np.ndarray, np.ndarray]], queries: int | None, draws: int = _DRAWS) -> Verdicts:
    """Measure the difference of each pair of models.

    Parameters
    ----------
    pairs
        Hits of a candidate and of a baseline, bool `[num_queries]` each.
    queries
        Size of the random parts of the queries to measure on; None for all of them, once.
    draws
        How many random parts.
    """
    generator = np.random.default_rng(0)
    gained = [candidate.astype(np.int64) - baseline for candidate, baseline in pairs]
    if queries is not None:
        gained = [part for whole in gained for part in _parts(whole, queries, draws, generator)]
    return Verdicts(
        queries or len(gained[0]),
        [paired_difference(len(part), int(part.sum()), int(np.abs(part).sum())) for part in gained],
    )


def _parts(values: np.ndarray, size: int, draws: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(draws):
        yield generator.choice(values, size=size, replace=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if len(set(options.seeds)) < 2:
        parser.error("--seeds: at least two are needed, to hold models against each other")
    return options


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    from pipeline.settings import load_settings, with_values

    settings = load_settings(options.config or options.release, release_overrides(options))
    name, (value, *others) = options.worse
    if others:
        raise InputError(f"--worse {name}: one value is compared, not {1 + len(others)}", code="B02")
    worse = with_values(settings, {name: value})
    compare(settings, worse, f"{name}={value}", options)


def compare(settings: Settings, worse: Settings, change: str, options: argparse.Namespace) -> None:
    """Fit both configurations with every seed, and print how each rule would have judged them."""
    from benchmarks.windows import make_data_set

    data = make_data_set(settings.data, options.source, options.work_dir)
    good, poor = ([_hits(each, seed, data, options.work_dir) for seed in options.seeds] for each in (settings, worse))
    same = list(itertools.permutations(good, 2))
    dropped = list(itertools.product(poor, good))
    recalls = [hits.mean() for hits in good]
    print(
        f"{settings.data.release}, split {settings.data.split}: {len(data.evaluation):,} eval windows; recall@10 of "
        f"{len(good)} seeds {np.mean(recalls):.4f}, standard deviation {np.std(recalls, ddof=1):.4f}; "
        f"with {change} {np.mean([hits.mean() for hits in poor]):.4f}\n"
    )
    sizes = [None, *(size for size in options.queries if size < len(data.evaluation))]
    named = rules(settings.model_gate)
    rows = []
    for size in sizes:
        for kind, pairs in (("other seed", same), (change, dropped)):
            found = judge_pairs(pairs, size)
            rows.append(
                [
                    f"{found.queries:,}",
                    kind,
                    f"{found.mean:+.4f}",
                    f"{found.half_width:.4f}",
                    f"{found.without_zero:.0%}",
                    *(f"{found.refused(rule):.0%}" for rule in named.values()),
                ]
            )
    header = ["queries", "candidate", "difference", "half interval", "zero outside"]
    print(markdown_table([*header, *(f"refused by {name}" for name in named)], rows))


def _hits(settings: Settings, seed: int, data: DataSet, work_dir: Path) -> np.ndarray:
    """Return whether each eval window's label is among the first ten, context left out, bool `[num_queries]`."""
    from benchmarks.quality import fit_and_rank, model_system
    from benchmarks.rank_cache import keep_ranks
    from pipeline.settings import with_values

    system = model_system(with_values(settings, {"training.seed": seed}))
    ranked = keep_ranks(
        work_dir / "ranks", system.name, data, system.made_of, functools.partial(fit_and_rank, system, data)
    )
    return ranked.ranks.excluded <= _TOP


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_release_options(parser)
    parser.add_argument(
        "--seeds", type=positive_int, nargs="+", default=_DEFAULT_SEEDS, metavar="N", help="default: 42 to 46"
    )
    parser.add_argument(
        "--worse",
        type=read_variation,
        default=read_variation("training.epochs=2"),
        metavar="NAME=VALUE",
        help="the setting that makes the model worse (default: training.epochs=2)",
    )
    parser.add_argument(
        "--queries",
        type=positive_int,
        nargs="*",
        default=[],
        metavar="N",
        help="judge on random parts of so many eval windows too, such as 610 and 943",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
