"""Compare settings of the model on train alone, or search them through Optuna.

`python -m benchmarks.search --release ml-100k --vary model.dropout=0.3,0.5 --vary training.batch_size=128,512`
`python -m benchmarks.search --release ml-100k --vary training.learning_rate=0.001..0.03:log --trials 40`

A tenth of the train windows is held out to compare by, under a split by time the last ones; the eval split is not
looked at. Each value is tried alone, against the configuration as it is, or with `--grid` together with all values of
the others. With `--trials` Optuna chooses the values of all together, gives trials up that fall behind, and the best
becomes a configuration file. Called again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.harness import add_release_options, positive_int, release_overrides
from benchmarks.studies.study import Range
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.user_files import user_path

if TYPE_CHECKING:
    import numpy as np

    from data.options import GenerateOptions
    from pipeline.settings import Settings
    from trainer_module.dataset import Windows
    from trainer_module.timelines import TrainTimelines

    Values = Mapping[str, Any]
    HeldOut = tuple[Windows | TrainTimelines, Windows | TrainTimelines, int]

VALIDATION_SHARE = 0.1
VALIDATION_SEED = 42
_AS_IT_IS = "as it is"
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(
        lambda: _run(parse_arguments(arguments)), stopped="stopped; the same command goes on with its --trials"
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = [name for name, _ in options.vary]
    ranged = [name for name, values in options.vary if isinstance(values, Range)]
    if options.trials is None:
        if ranged:
            parser.error(f"--vary {ranged[0]}: a range is for --trials")
        if options.best is not None:
            parser.error("--best is for --trials")
    else:
        if not names:
            parser.error("--trials needs --vary")
        if options.grid:
            parser.error("--grid and --trials are two ways: give one")
    if any(names.count(name) > 1 for name in ranged):
        parser.error(f"--vary {ranged[0]}: a range stands alone")
    return options


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    from pipeline.settings import load_settings

    settings = load_settings(options.config or options.release, release_overrides(options))
    varied: dict[str, Any] = {}
    for name, values in options.vary:
        varied[name] = values if isinstance(values, Range) else [*varied.get(name, []), *values]
    if options.trials is None:
        variants = list(variants_of(varied, grid=options.grid))
        compare(settings, variants, options.seeds, options.source, options.work_dir)
        return
    from benchmarks.quality.tuning import tune

    tune(
        settings,
        varied,
        trials=options.trials,
        seeds=options.seeds,
        held_out=_reader(options.source, options.work_dir),
        work_dir=options.work_dir,
        best_file=options.best or options.work_dir / f"best-{settings.pipeline_name}.yaml",
    )


def variants_of(varied: Mapping[str, Sequence[Any]], *, grid: bool) -> Iterator[Values]:
    """Yield what to try, first nothing, which is the configuration as it is.

    Parameters
    ----------
    varied
        The values to try of each setting, by its dotted name.
    grid
        Try every combination in place of each value alone.
    """
    yield {}
    if grid and varied:
        for combination in itertools.product(*varied.values()):
            yield dict(zip(varied, combination, strict=True))
    else:
        for name, values in varied.items():
            for value in values:
                yield {name: value}


def compare(
    settings: Settings, variants: Sequence[Values], seeds: Sequence[int], source: Path | None, work_dir: Path
) -> None:
    """Fit each variant with each seed, printing a row as soon as it is known.

    Raises
    ------
    InputError
        A name or value is not one of the settings, or the release can't be had.
    """
    from pipeline.settings import with_values

    held_out = _reader(source, work_dir)
    # All are checked before the first is fitted.
    changed = [with_values(settings, values) for values in variants]
    print("| variant | recall@10 | recall@100 | NDCG@10 | s |\n| --- | ---: | ---: | ---: | ---: |")
    for values, variant in zip(variants, changed, strict=True):
        started = time.monotonic()
        seeded = (with_values(variant, {"training.seed": seed}) for seed in seeds)
        ranks = [_fit_and_rank(each, *held_out(each.data)) for each in seeded]
        _print_row(values, ranks, (time.monotonic() - started) / len(seeds))


def _reader(source: Path | None, work_dir: Path) -> Callable[[GenerateOptions], HeldOut]:
    """Return `_held_out` of a release's data sets, which reads one once for all variants of it."""
    return functools.lru_cache(maxsize=1)(functools.partial(_held_out, source=source, work_dir=work_dir))


def _held_out(options: GenerateOptions, source: Path | None, work_dir: Path) -> HeldOut:
    """Return what of train to fit, what to compare by, and the size of the vocabulary.

    Where the data have timelines both are timelines: either form of training takes them, and each model is asked with
    what it reads.
    """
    from dataclasses import replace

    from benchmarks.quality.windows import is_among, make_data_set
    from trainer_module.dataset import hold_out

    data = make_data_set(options, source, work_dir, with_eval=False)
    if options.strategy.is_by_time:
        # What says most about a later time is the latest that train has.
        earlier = options.model_copy(update={"train_fraction": options.train_fraction * (1 - VALIDATION_SHARE)})
        earlier_data = make_data_set(earlier, source, work_dir, with_eval=False, movie_ids=data.movie_ids)
        if data.timelines is not None and earlier_data.timelines is not None:
            both = (replace(each, train=each.timelines.windows()) for each in (data, earlier_data) if each.timelines)
            return earlier_data.timelines, data.timelines.take(~is_among(*both)), data.num_movies
        fitted = is_among(data, earlier_data)
        return data.train.take(fitted), data.train.take(~fitted), data.num_movies
    train = data.train if data.timelines is None else data.timelines
    return *hold_out(train, VALIDATION_SHARE, VALIDATION_SEED), data.num_movies


def _fit_and_rank(
    settings: Settings, fitted: Windows | TrainTimelines, held_out: Windows | TrainTimelines, num_movies: int
) -> np.ndarray:
    from trainer_module.training import fit, queries_of, validation_ranks

    model = fit(fitted, num_movies, settings.model, settings.training)
    return validation_ranks(model, queries_of(held_out, settings.model))


def _print_row(values: Values, ranks: Sequence[np.ndarray], seconds: float) -> None:
    """Print a variant's figures, what it reads left out: means over seeds, with a bootstrap interval over queries."""
    import numpy as np

    from benchmarks.quality.scoring import gains, interval

    def mean(figures: Sequence[np.ndarray]) -> str:
        return f"{np.mean(figures):.4f}"

    hits = np.mean([of <= 10 for of in ranks], axis=0)
    cells = [
        ", ".join(f"{name}={value}" for name, value in values.items()) or _AS_IT_IS,
        "{:.4f} [{:.4f}, {:.4f}]".format(hits.mean(), *interval(hits)),
        mean([of <= 100 for of in ranks]),
        mean([gains(of) for of in ranks]),
        f"{seconds:.0f}",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def read_variation(text: str) -> tuple[str, list[Any] | Range]:
    """Read `name=value,value` or `name=low..high`: a setting by its dotted name, and values to give it."""
    name, equals, values = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE,VALUE")
    if (found := _RANGE.fullmatch(values)) is not None:
        low, high = (float(end) if re.search(r"[.eE]", end) else int(end) for end in found.groups()[:2])
        if low >= high or (found[3] and low <= 0):
            raise argparse.ArgumentTypeError(f"{text!r}: a range is LOW..HIGH, and above 0 with :log")
        return name, Range(low, high, log=bool(found[3]))
    try:
        return name, [yaml.safe_load(value) for value in values.split(",")]
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"{text!r} holds a value that is not YAML") from None


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_release_options(parser)
    parser.add_argument(
        "--vary",
        type=read_variation,
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values of one setting, such as model.embedding_dim=32,64, or with --trials a range, such as "
        "model.dropout=0.1..0.5 or training.learning_rate=0.001..0.03:log; may be given again for another",
    )
    parser.add_argument("--grid", action="store_true", help="try all combinations, not each value alone")
    parser.add_argument(
        "--trials",
        type=positive_int,
        metavar="N",
        help="search through Optuna until there are N trials, those of earlier calls of the same search among them",
    )
    parser.add_argument(
        "--best",
        type=user_path,
        metavar="FILE",
        help="where --trials writes the best as a configuration (default: best-<pipeline>.yaml in --work-dir)",
    )
    parser.add_argument(
        "--seeds",
        type=positive_int,
        nargs="+",
        default=[VALIDATION_SEED],
        metavar="N",
        help="fit each variant with each of these (default: 42); rows are means",
    )
    return parser
