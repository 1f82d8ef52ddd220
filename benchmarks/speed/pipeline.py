"""Our pipeline against the textbook's: `python -m benchmarks.pipeline_speed --ratings 1000000`.

The textbook's is stock components with their documented defaults, and the tutorial's model fed as TFX's tutorials feed
theirs. Both get the same shards, each runs in a process of its own, and both models are ranked by the same signature:
a gain in speed that loses quality is none. Generating the shards is not part of either.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import (
    Cost,
    Measurement,
    Meter,
    add_data_options,
    costs_from_json,
    costs_to_json,
    data_root,
    describe_data,
    describe_machine,
    generate_data,
    give_result,
    markdown_table,
    measure,
    positive_int,
    repeat_data_options,
    total_cost,
)
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.user_files import user_path
from pipeline.tfx_imports import defer_cloud_extensions

if TYPE_CHECKING:
    from pipeline.runs.progress import StepPrinter
    from pipeline.settings import RunPaths, Settings

_TEXTBOOK = "textbook"
_OURS = "ours"
_IMPORTS = "imports"
_LAST_DATA_STEP = "Transform"
_TRAINER_LOG = "next_movie.trainer"
_SCORE_BATCH = 1024
_CUTOFFS = (10, 100)


@dataclass(frozen=True)
class PipelineRun:
    """A pipeline's run in a process of its own.

    Attributes
    ----------
    process
        All of it, imports included.
    imports
        What importing TFX and the pipeline took.
    seconds
        From the end of the imports to the end of the last node.
    steps
        What each node took, in the order in which they ran.
    epochs
        Seconds of each epoch, validation included. The first also traces the graph, and the textbook's reads its
        input.
    worked
        Nodes that did not answer from the cache; resolvers never do.
    has_baseline
        Whether the Evaluator compared with an earlier model.
    """

    process: Cost
    imports: Cost
    seconds: float
    steps: tuple[Cost, ...]
    epochs: tuple[float, ...]
    worked: tuple[str, ...]
    has_baseline: bool

    @classmethod
    def of(cls, measurement: Measurement) -> PipelineRun:
        """Read what a process gave as its result."""
        result = measurement.result
        imports, *steps = costs_from_json(result["costs"])
        return cls(
            process=Cost("process", measurement.seconds, measurement.cpu_seconds, measurement.peak_mib),
            imports=imports,
            seconds=result["seconds"],
            steps=tuple(steps),
            epochs=tuple(result["epochs"]),
            worked=tuple(result["worked"]),
            has_baseline=result["has_baseline"],
        )

    @property
    def data_steps(self) -> Cost:
        """All steps up to Transform."""
        last = [step.name for step in self.steps].index(_LAST_DATA_STEP)
        return total_cost(f"first step to {_LAST_DATA_STEP}", self.steps[: last + 1])

    @property
    def all_steps(self) -> Cost:
        """All steps."""
        return total_cost("all steps", self.steps)

    @property
    def epoch_seconds(self) -> float:
        """Seconds of the median epoch, on which the first one's extra work has no bearing."""
        return statistics.median(self.epochs)

    def step(self, name: str) -> Cost:
        """Return what a node took."""
        return next(step for step in self.steps if step.name == name)


@dataclass(frozen=True)
class Target:
    """What is wanted of a figure: at least so much, or less than so much."""

    name: str
    wanted: float
    found: float | None
    at_least: bool = True
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where nothing was found."""
        if self.found is None:
            return None
        return self.found >= self.wanted if self.at_least else self.found < self.wanted

    @property
    def row(self) -> list[str]:
        """Cells of a table: name, wanted, found, and whether it is met."""
        found = "not measured" if self.found is None else f"{self.found:.2f}{self.unit}"
        sign = ">=" if self.at_least else "<"
        answer = {True: "yes", False: "no", None: ""}[self.met]
        return [self.name, f"{sign} {self.wanted:g}{self.unit}", found, answer]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _measure_parts(_parser().parse_args(arguments)))


def _measure_parts(options: argparse.Namespace) -> None:
    prepare_environment()
    defer_cloud_extensions()
    if options.part in (_TEXTBOOK, _OURS):
        give_result(_run(options))
    elif options.part is not None:
        give_result(_score(options))
    elif options.folder is not None:
        _compare(options, options.folder)
    else:
        with tempfile.TemporaryDirectory(prefix="pipeline-speed-") as folder:
            _compare(options, Path(folder))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.pipeline_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument(
        "--epochs", type=positive_int, metavar="N", help="the most epochs in either, for a quick look at the rest"
    )
    parser.add_argument(
        "--folder", type=user_path, metavar="DIR", help="where both pipelines are kept (default: a temporary folder)"
    )
    # How the benchmark calls itself, to measure each part in a process of its own.
    parser.add_argument(
        "--part", choices=(_TEXTBOOK, _OURS, f"score-{_TEXTBOOK}", f"score-{_OURS}"), help=argparse.SUPPRESS
    )
    return parser


def _compare(options: argparse.Namespace, folder: Path) -> None:
    folder = folder.resolve()
    settings = _settings(options)
    manifest = generate_data(options, settings.data, folder)

    def part(name: str) -> Measurement:
        print(f"{name} ...", file=sys.stderr, flush=True)
        arguments = [*repeat_data_options(options), "--folder", str(folder), "--part", name]
        if options.epochs is not None:
            arguments += ["--epochs", str(options.epochs)]
        return measure("benchmarks.pipeline_speed", *arguments, show_errors=True)

    runs = {name: PipelineRun.of(part(name)) for name in (_TEXTBOOK, _OURS)}
    # The second run finds the first one's model to compare with, and judges again; the third changes nothing.
    judged, cached = PipelineRun.of(part(_OURS)), PipelineRun.of(part(_OURS))
    recalls = {name: part(f"score-{name}").result for name in runs}

    print(
        f"{describe_machine()}; {describe_data(options, manifest)}; "
        f"at most {settings.training.epochs} epochs of ours, {_epochs_of_tutorial(options)} of the textbook's"
    )
    for name, run in runs.items():
        print(f"\n{cost_table(name, run)}")
    print(f"\n{ratio_table(runs[_TEXTBOOK], runs[_OURS])}")
    print(f"\n{recall_table(recalls)}")
    print(
        f"\nthe cached rerun took {cached.seconds:.1f} s after the imports; "
        f"not from the cache: {', '.join(cached.worked)}\n"
    )
    targets = targets_of(runs[_TEXTBOOK], runs[_OURS], judged, cached, recalls)
    print(markdown_table(["target", "wanted", "found", "met"], [target.row for target in targets]))


def cost_table(name: str, run: PipelineRun) -> str:
    """Return a table of what each step took, and all of them."""
    rows = [run.imports, *run.steps, run.data_steps, run.all_steps, run.process]
    return markdown_table(
        [name, "seconds", "CPU seconds", "peak MiB"],
        [[cost.name, f"{cost.seconds:.1f}", f"{cost.cpu_seconds:.1f}", f"{cost.peak_mib:.0f}"] for cost in rows],
    )


def ratio_table(textbook: PipelineRun, ours: PipelineRun) -> str:
    """Return a table of how much faster ours is, and what of its Trainer is no epoch."""
    figures: dict[str, Callable[[PipelineRun], float]] = {
        "first step to Transform": lambda run: run.data_steps.seconds,
        "first epoch": lambda run: run.epochs[0],
        "median epoch": lambda run: run.epoch_seconds,
        "Trainer outside its epochs": lambda run: run.step("Trainer").seconds - sum(run.epochs),
        "Trainer": lambda run: run.step("Trainer").seconds,
        "Evaluator": lambda run: run.step("Evaluator").seconds,
        "all after the imports": lambda run: run.seconds,
        "all, imports included": lambda run: run.process.seconds,
    }
    rows = []
    for name, figure in figures.items():
        theirs, mine = figure(textbook), figure(ours)
        rows.append([name, f"{theirs:.1f}", f"{mine:.1f}", f"{theirs / mine:.1f}"])
    return markdown_table(["seconds", _TEXTBOOK, _OURS, "times faster"], rows)


def recall_table(recalls: dict[str, dict[str, float]]) -> str:
    """Return a table of recalls, `{pipeline: {kind of recall: value}}`."""
    kinds = list(next(iter(recalls.values())))
    return markdown_table(
        ["model", *kinds], [[name, *(f"{values[kind]:.4f}" for kind in kinds)] for name, values in recalls.items()]
    )


def targets_of(
    textbook: PipelineRun,
    ours: PipelineRun,
    judged: PipelineRun,
    cached: PipelineRun,
    recalls: dict[str, dict[str, float]],
) -> list[Target]:
    """Hold the figures against what is wanted of them.

    Parameters
    ----------
    textbook, ours
        First runs.
    judged
        Our second run, in which the Evaluator has a baseline.
    cached
        Our third run.
    recalls
        As for `recall_table`.
    """
    judging = judged.step("Evaluator").cpu_seconds if judged.has_baseline else None
    return [
        Target("ExampleGen to Transform", 5, textbook.data_steps.seconds / ours.data_steps.seconds, unit="x"),
        Target("median epoch", 5, textbook.epoch_seconds / ours.epoch_seconds, unit="x"),
        Target("Evaluator with a baseline, CPU", 60, judging, at_least=False, unit=" s"),
        Target("whole pipeline, cold, imports included", 4, textbook.process.seconds / ours.process.seconds, unit="x"),
        Target("peak memory", 4, ours.process.peak_mib / 1024, at_least=False, unit=" GiB"),
        Target("cached rerun after the imports", 5, cached.seconds, at_least=False, unit=" s"),
        *(
            Target(f"{kind}, times the textbook's", 1, recalls[_OURS][kind] / max(value, 1e-9), unit="x")
            for kind, value in recalls[_TEXTBOOK].items()
        ),
    ]


def _settings(options: argparse.Namespace) -> Settings:
    from pipeline.settings import load_settings

    settings = load_settings(options.config or options.release, {"release": options.release})
    if options.epochs is None:
        return settings
    epochs = min(options.epochs, settings.training.epochs)
    return settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": epochs})})


def _epochs_of_tutorial(options: argparse.Namespace) -> int:
    from pipeline.settings import load_settings

    own = load_settings("tutorial").training.epochs
    return min(options.epochs or own, own)


def _places(options: argparse.Namespace, settings: Settings, name: str) -> RunPaths:
    from data.examples.manifest import Manifest
    from pipeline.local import lay_out

    examples = data_root(options.folder)
    return lay_out(settings, Manifest.load(examples), examples, options.folder / name)


def _run(options: argparse.Namespace) -> dict[str, Any]:
    """Run one of the pipelines in this process, and return what it took."""
    with Meter() as meter:
        with meter.part(_IMPORTS):
            from tfx import v1 as tfx

            from benchmarks.speed.stock_tfx import textbook_pipeline
            from pipeline.pipeline import create_pipeline
            from pipeline.runs.progress import progress_shown
        started = time.monotonic()
        settings = _settings(options)
        paths = _places(options, settings, options.part)
        if options.part == _TEXTBOOK:
            graph = textbook_pipeline(paths, epochs=_epochs_of_tutorial(options))
        else:
            graph = create_pipeline(settings, paths)
        # Standard output is for the result alone.
        with contextlib.redirect_stdout(sys.stderr), progress_shown(verbose=False) as steps:
            epochs = _EpochClock()
            logging.getLogger(_TRAINER_LOG).addHandler(epochs)
            logging.getLogger("absl").addHandler(StepClock(steps, meter))
            tfx.orchestration.LocalDagRunner().run(graph)
        seconds = time.monotonic() - started
    worked, has_baseline = _look_at_run(paths, settings)
    return {
        "seconds": seconds,
        "costs": costs_to_json(meter.costs),
        "epochs": epochs.seconds,
        "worked": worked,
        "has_baseline": has_baseline,
    }


def _look_at_run(paths: RunPaths, settings: Settings) -> tuple[list[str], bool]:
    """Return the nodes that worked, and whether the Evaluator had a baseline, from ML Metadata."""
    from pipeline.runs.record import read_run_record

    record = read_run_record(paths.metadata, settings.model_gate)
    return [step.name for step in record.steps if step.state == "done"], bool(
        record.evaluation_result.evaluation.baseline
    )


def _score(options: argparse.Namespace) -> dict[str, float]:
    """Rank the eval split's labels with a trained model's own signature, which is the same for both."""
    import numpy as np
    import tensorflow as tf

    from benchmarks.quality.scoring import recall

    name = options.part.removeprefix("score-")
    paths = _places(options, _settings(options), name)
    folder = next(Path(paths.pipeline_root).glob("Trainer/model/*/Format-Serving"))
    evaluate = tf.saved_model.load(str(folder)).signatures["evaluate"]
    files = [str(file) for file in sorted(Path(paths.data_root).glob("eval-*"))]
    batches = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(_SCORE_BATCH)
    answers = [evaluate(examples=examples) for examples in batches]
    return {
        f"recall@{k}, {kind}": recall(np.concatenate([answer[output].numpy() for answer in answers]), k)
        for output, kind in (("rank_unfiltered", "unfiltered"), ("rank", "context left out"))
        for k in _CUTOFFS
    }


class StepClock(logging.Handler):
    """Measures each step from the record that says it is running to the one that says it is finished.

    Stands behind the printer of steps, which knows these records.
    """

    def __init__(self, steps: StepPrinter, meter: Meter) -> None:
        super().__init__(logging.INFO)
        self._steps = steps
        self._meter = meter
        self._running: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Begin or end a step where the printer's running one has changed."""
        if self._steps.running == self._running:
            return
        if self._running is not None:
            self._meter.end(self._running)
        self._running = self._steps.running
        if self._running is not None:
            self._meter.begin()


class _EpochClock(logging.Handler):
    """Measures epochs: a trainer says one line before the first, and one after each."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seconds: list[float] = []
        self._last: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now
