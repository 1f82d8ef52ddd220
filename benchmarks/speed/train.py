"""Our training step against the tutorial's: `python -m benchmarks.train_speed --ratings 1000000`.

Both train on the same labels, at our batch and at the tutorial's; a configuration that is fitted to chunks of timelines
is measured with windows too. A step is timed on one batch again and again, and on
the batches that the input pipeline brings; the difference is what input costs. Then each model is trained on the clock,
ours until it ranks as well as the tutorial's does at its end.

`python -m benchmarks.train_speed --release ml-100k --source FOLDER --curves default.yaml fast tutorial --plot FILE.svg`
trains configurations to their ends, and says how well they rank a held-out tenth of train on the way: time to quality.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import (
    Measurement,
    add_data_options,
    data_root,
    describe_data,
    describe_machine,
    generate_data,
    give_result,
    markdown_table,
    measure,
    positive_int,
    repeat_data_options,
)
from benchmarks.speed.curves import Point, curve_table, draw_curves
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.user_files import user_path

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from benchmarks.quality.scoring import Ranks
    from pipeline.settings import Settings
    from trainer_module.dataset import Windows
    from trainer_module.model import NextMovieModel
    from trainer_module.timelines import TrainTimelines

_OURS = "ours"
_OURS_IN_WINDOWS = "ours, in windows"
_TUTORIAL = "tutorial"
_STEP = "step"
_TRAIN = "train"
_CURVE = "curve"
_WARM_UP_STEPS = 3
_ROUNDS = 3
_CUTOFF = 100
_RANKED = 10_000
"""Eval windows that are ranked again and again; they give recall@100 to half a percent."""

_LOOKS = 20
"""How often in an epoch our model is ranked, where it is trained until it ranks as well as the tutorial's."""

_CURVE_LOOKS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    if options.part == _STEP:
        give_result(_time_steps(options))
    elif options.part == _CURVE:
        give_result(_curve(options))
    elif options.part == _TRAIN:
        give_result(_train_until(options))
    else:
        with tempfile.TemporaryDirectory(prefix="train-speed-") as folder:
            (_compare_curves if options.curves else _compare)(options, Path(folder))


def step_row(name: str, result: dict[str, float]) -> list[str]:
    """Return a step's row: batch, milliseconds alone and with input, input's share, windows a second, GFLOP, memory.

    Parameters
    ----------
    name
        The model's.
    result
        `batch` windows a step, or labels of chunks, `seconds_alone` and `seconds_with_input` of one, its `flops`, and
        `peak_mib`.
    """
    alone, with_input = result["seconds_alone"], result["seconds_with_input"]
    return [
        name,
        f"{result['batch']:,.0f}",
        f"{1000 * alone:.0f}",
        f"{1000 * with_input:.0f}",
        f"{1 - alone / with_input:.1%}",
        f"{result['batch'] / with_input:,.0f}",
        f"{result['flops'] / 1e9:.1f}",
        f"{result['peak_mib']:.0f}",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.train_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument(
        "--steps",
        type=positive_int,
        default=10,
        metavar="N",
        help=f"timed steps in each of {_ROUNDS} rounds (default: %(default)s)",
    )
    parser.add_argument("--only-steps", action="store_true", help="time steps, and train no model")
    parser.add_argument(
        "--curves",
        nargs="+",
        metavar="NAME_OR_FILE",
        help="time to quality of these configurations in place of all else, on a held-out tenth of train",
    )
    parser.add_argument("--plot", type=user_path, metavar="FILE", help="draw the curves, as .svg or .png")
    # How the benchmark calls itself, to measure each part in a process of its own.
    parser.add_argument("--part", choices=(_STEP, _TRAIN, _CURVE), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=user_path, help=argparse.SUPPRESS)
    parser.add_argument("--model", choices=(_OURS, _OURS_IN_WINDOWS, _TUTORIAL), help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=positive_int, help=argparse.SUPPRESS)
    parser.add_argument("--recall", type=float, help=argparse.SUPPRESS)
    return parser


def _compare(options: argparse.Namespace, folder: Path) -> None:
    ours = _settings(options, _OURS)
    has_windows = ours.training.form == "chunks" and ours.model.reads == "context"
    names = (_OURS, *([_OURS_IN_WINDOWS] if has_windows else []), _TUTORIAL)
    settings = {name: _settings(options, name) for name in names}
    manifest = generate_data(options, settings[_OURS].data, folder)

    def part(name: str, model: str, *arguments: str) -> Measurement:
        print(f"{name} of {model} {' '.join(arguments)} ...", file=sys.stderr, flush=True)
        data = [*repeat_data_options(options), "--folder", str(folder), "--steps", str(options.steps)]
        return measure("benchmarks.train_speed", "--part", name, "--model", model, *data, *arguments)

    print(f"{describe_machine()}; {describe_data(options, manifest)}\n")
    batches = dict.fromkeys(chosen.training.batch_size for chosen in settings.values())
    rows, epochs = [], {}
    for batch, model in itertools.product(batches, settings):
        step = part(_STEP, model, "--batch", str(batch))
        epochs[model, batch] = [step.result["steps"] * step.result[of] for of in ("seconds_with_input", "cpu_seconds")]
        rows.append(step_row(model, {**step.result, "peak_mib": step.peak_mib}))
    header = ["step", "batch", "ms, same batch", "ms, with input", "input's share", "windows/s", "GFLOP", "peak MiB"]
    print(markdown_table(header, rows), flush=True)

    if has_windows:
        batch = settings[_OURS].training.batch_size
        told = [
            f"{chunks:.0f} {unit}, in windows {windows:.0f}: {chunks / windows:.2f} of it"
            for unit, chunks, windows in zip(
                ("s", "CPU s"), epochs[_OURS, batch], epochs[_OURS_IN_WINDOWS, batch], strict=True
            )
        ]
        print(f"\nan epoch of ours takes {'; '.join(told)}")
    if options.only_steps:
        return
    if ours.model.reads == "history":
        print("\nno training is timed: a model that reads histories is not asked by contexts; see --curves")
        return
    tutorial = part(_TRAIN, _TUTORIAL).result
    trained = part(_TRAIN, _OURS, "--recall", str(tutorial["recall"])).result
    print(f"\n{_training_table({_TUTORIAL: tutorial, f'{_OURS}, until it ranks as well': trained})}")
    if trained["recall"] >= tutorial["recall"]:
        print(f"\nours got there {tutorial['seconds'] / trained['seconds']:.1f} times faster")
    else:
        print("\nours did not get there")


def _training_table(results: dict[str, dict[str, float]]) -> str:
    return markdown_table(
        ["training", "seconds", "of them before the first step", "epochs", f"recall@{_CUTOFF}, unfiltered"],
        [
            [
                name,
                f"{result['seconds']:.1f}",
                f"{result['seconds_before']:.1f}",
                f"{result['epochs']:.2f}",
                f"{result['recall']:.4f}",
            ]
            for name, result in results.items()
        ],
    )


def _settings(options: argparse.Namespace, model: str) -> Settings:
    from pipeline.settings import load_settings, with_values

    name = _TUTORIAL if model == _TUTORIAL else options.config or options.release
    settings = load_settings(name, {"release": options.release})
    return with_values(settings, {"training.form": "windows"}) if model == _OURS_IN_WINDOWS else settings


def _time_steps(options: argparse.Namespace) -> dict[str, float]:
    """Time steps of one model at one batch size, on the same batch and on what the input pipeline brings."""
    import numpy as np
    import tf_keras as keras

    from benchmarks.quality.windows import read_data_set
    from benchmarks.speed.flops import step_flops
    from trainer_module.training import epoch_batches, new_model

    data = read_data_set(data_root(options.folder))
    settings = _settings(options, options.model)
    # Reshuffled, whatever the settings say: then all batches are whole, and their steps alike.
    training = settings.training.model_copy(update={"batch_size": options.batch, "reshuffle": True})
    train = data.train_for(training)
    batches = epoch_batches(train, training, data.num_movies if settings.model.reads == "history" else None)
    steps_per_epoch = int(batches.cardinality())
    keras.utils.set_random_seed(training.seed)
    model = new_model(train, data.num_movies, settings.model, training, steps_per_epoch)
    step = model.make_train_function()
    same, brought = iter(batches.take(1).cache().repeat()), iter(batches.repeat())
    for source in (same, brought):
        _seconds_of(step, source, _WARM_UP_STEPS)
    # In turn, so that what else the machine does meets both alike.
    rounds = [
        (_seconds_of(step, same, options.steps), _seconds_of(step, brought, options.steps)) for _ in range(_ROUNDS)
    ]
    (alone, _), (with_input, cpu) = np.sum(rounds, axis=0) / (_ROUNDS * options.steps)
    batch = min(options.batch, len(data.train))
    flops = step_flops(settings.model, data.num_movies, next(batches.take(1).as_numpy_iterator()))
    times = {"seconds_alone": alone, "seconds_with_input": with_input, "cpu_seconds": cpu}
    return {"batch": batch, "steps": steps_per_epoch, "flops": flops, **times}


def _seconds_of(step: Any, batches: Iterator[tuple[tf.Tensor, tf.Tensor]], count: int) -> tuple[float, float]:
    clock = _Clock()
    for _ in range(count):
        step(batches)
    return clock.stop()


def _train_until(options: argparse.Namespace) -> dict[str, float]:
    """Train on the clock, to the end or to a recall on the eval split. Ranking does not count."""
    import numpy as np

    from benchmarks.quality.windows import read_data_set
    from trainer_module.dataset import hold_out

    data = read_data_set(data_root(options.folder))
    settings = _settings(options, options.model)
    chosen = np.random.default_rng(settings.training.seed).permutation(len(data.evaluation))[:_RANKED]
    ranked = data.evaluation.take(np.sort(chosen))
    found: dict[str, float] = {}
    before: float | None = None
    train = data.train_for(settings.training)
    fitted, _ = hold_out(train, settings.training.validation_fraction, settings.training.seed)
    for seconds, _, epochs, model in _training(fitted, data.num_movies, settings, _LOOKS):
        before = seconds if before is None else before
        if options.recall is None and epochs < settings.training.epochs:
            continue
        recall = _recall(_ranks(model, ranked, data.num_movies).unfiltered, _CUTOFF)
        found = {"seconds": seconds, "seconds_before": before, "epochs": epochs, "recall": recall}
        if options.recall is not None and recall >= options.recall:
            break
    return found


def _compare_curves(options: argparse.Namespace, folder: Path) -> None:
    """Train configurations on the clock, each in a process of its own, and say how well they rank at the end."""
    from pipeline.settings import load_settings

    settings = load_settings(options.config or options.release, {"release": options.release, "timelines": True})
    manifest = generate_data(options, settings.data, folder)
    print(f"{describe_machine()}; {describe_data(options, manifest)}\n")
    curves = {}
    for name in options.curves:
        print(f"curve of {name} ...", file=sys.stderr, flush=True)
        options.config = name
        told = [*repeat_data_options(options), "--folder", str(folder)]
        curves[Path(name).stem] = measure("benchmarks.train_speed", "--part", _CURVE, *told).result["curve"]
    print(curve_table(curves))
    if options.plot is not None:
        draw_curves(curves, options.plot)


def _curve(options: argparse.Namespace) -> dict[str, list[Point]]:
    """Return what is known of a training at each look, on a tenth of train that is held out of it."""
    from benchmarks.quality.search import VALIDATION_SEED, VALIDATION_SHARE
    from benchmarks.quality.windows import read_data_set
    from pipeline.settings import load_settings
    from trainer_module.dataset import hold_out
    from trainer_module.training import queries_of, validation_ranks

    data = read_data_set(data_root(options.folder), with_eval=False)
    settings = load_settings(options.config, {"release": options.release})
    # Timelines, whatever is made of them: then all fit and rank the same labels.
    timelines = data.train_for(settings.training.model_copy(update={"form": "chunks"}))
    fitted, held_out = hold_out(timelines, VALIDATION_SHARE, VALIDATION_SEED)
    queries = queries_of(held_out, settings.model)
    curve = []
    for seconds, cpu_seconds, epochs, model in _training(fitted, data.num_movies, settings, _CURVE_LOOKS):
        ranks = validation_ranks(model, queries)
        curve.append(Point(seconds, cpu_seconds, epochs, *(_recall(ranks, k) for k in (10, _CUTOFF))))
    return {"curve": curve}


def _training(
    train: Windows | TrainTimelines, num_movies: int, settings: Settings, looks: int
) -> Iterator[tuple[float, float, float, NextMovieModel]]:
    """Train as the pipeline's Trainer does, and stop so many times in an epoch.

    Yields
    ------
    tuple
        Seconds, CPU seconds and epochs so far, and the model as it stands; first before the first step. What is done in
        between takes no time.
    """
    import tf_keras as keras

    from trainer_module.training import epoch_batches, new_model

    training = settings.training
    clock = _Clock()
    batches = epoch_batches(train, training, num_movies if settings.model.reads == "history" else None)
    steps_per_epoch = int(batches.cardinality())
    keras.utils.set_random_seed(training.seed)
    model = new_model(train, num_movies, settings.model, training, steps_per_epoch)
    step = model.make_train_function()
    yield *clock.stop(), 0.0, model
    stops = {-(-steps_per_epoch * look // looks) for look in range(1, looks + 1)}
    clock.go_on()
    for epoch in range(training.epochs):
        brought = iter(batches)
        for done in range(1, steps_per_epoch + 1):
            step(brought)
            if done in stops:
                yield *clock.stop(), epoch + done / steps_per_epoch, model
                clock.go_on()


class _Clock:
    """Seconds and CPU seconds of this process, but for those between `stop` and `go_on`."""

    def __init__(self) -> None:
        self._spent = (0.0, 0.0)
        self.go_on()

    def go_on(self) -> None:
        self._resumed = (time.monotonic(), time.process_time())

    def stop(self) -> tuple[float, float]:
        now = (time.monotonic(), time.process_time())
        wall, cpu = (spent + end - start for spent, end, start in zip(self._spent, now, self._resumed, strict=True))
        self._spent = (wall, cpu)
        return self._spent


def _ranks(model: NextMovieModel, windows: Windows, num_movies: int) -> Ranks:
    from benchmarks.quality.scoring import rank_windows, scorer_of

    return rank_windows(scorer_of(model), windows, num_movies)


def _recall(ranks: np.ndarray, k: int) -> float:
    from benchmarks.quality.scoring import recall

    return recall(ranks, k)
