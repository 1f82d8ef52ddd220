"""A search of settings by Optuna, on train alone."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.studies.study import Range, Space, Study, Trial, opened
from data.errors import InputError
from data.user_files import write_text

if TYPE_CHECKING:
    from data.options import GenerateOptions
    from pipeline.settings import Settings
    from trainer_module.dataset import Windows
    from trainer_module.timelines import TrainTimelines

    HeldOut = Callable[[GenerateOptions], tuple[Windows | TrainTimelines, Windows | TrainTimelines, int]]

STUDIES_FILE = "studies.sqlite"

_OF_THE_VALUES = ("C05", "R07")
"""Codes of errors that other values don't have: settings that don't go together, and a loss that is no number."""


def tune(
    settings: Settings,
    space: Space,
    *,
    trials: int,
    seeds: Sequence[int],
    held_out: HeldOut,
    work_dir: Path,
    best_file: Path,
) -> None:
    """Try values until a study has so many trials, printing a row for each, and write the best as a configuration.

    Parameters
    ----------
    settings
        The configuration that they are tried on. Its own values are the first trial, if the space holds them.
    space
        What may be chosen for which settings.
    trials
        How many the study is to have, those of earlier calls for the same among them.
    seeds
        Each trial is fitted with each of them, and its figure the mean; by the first one it may be pruned.
    held_out
        Gives the train windows of a data set to fit, those to compare by, and the size of the vocabulary.
    work_dir
        Holds the studies, and the windows.
    best_file
        Gets the configuration.

    Raises
    ------
    InputError
        A name or value is not one of the settings, the release can't be had, Optuna can't be had, or no trial had a
        figure.
    """
    from benchmarks.quality.windows import data_folder
    from benchmarks.studies.environment import make_study_environment
    from data.examples.manifest import Manifest
    from pipeline.settings import with_values

    for name, choice in space.items():
        for value in (choice.low, choice.high) if isinstance(choice, Range) else choice:
            with_values(settings, {name: value})
    python = make_study_environment()
    # The study is about these data; a changed release begins another one.
    held_out(settings.data)
    source_digest = Manifest.load(data_folder(settings.data, work_dir)).source_digest
    study_name = f"{settings.pipeline_name}-{_digest(settings, space, seeds, source_digest)}"
    first = {name: value_of(settings, name) for name in space}
    with opened(work_dir / STUDIES_FILE, study_name, space, first=first, seed=seeds[0], python=python) as study:
        print(f"study {study_name} in {work_dir / STUDIES_FILE}: {study.tried} of {trials} trials are there\n")
        print("| trial | values | recall@10 | passes | s |\n| --- | --- | ---: | ---: | ---: |", flush=True)
        for _ in range(trials - study.tried):
            trial = study.ask()
            started = time.monotonic()
            figure, passes = _try(study, trial, settings, seeds, held_out)
            print(
                f"| {trial.number} | {_spelt(trial.values)} | {figure} | {passes} | {time.monotonic() - started:.0f} |",
                flush=True,
            )
        best = study.best()
    if best is None:
        raise InputError("no trial ended with a figure: give other values to --vary", code="B09")
    _write(with_values(settings, best.values), best, best_file)


def value_of(settings: Settings, name: str) -> Any:
    """Return a setting's value by its dotted name."""
    value: Any = settings.model_dump()
    for part in name.split("."):
        value = value[part]
    return value


def _try(study: Study, trial: Trial, settings: Settings, seeds: Sequence[int], held_out: HeldOut) -> tuple[str, str]:
    """Fit a trial's values and tell the study; return what the table says of recall@10 and of passes."""
    from benchmarks.quality.trials import fit_trial
    from pipeline.settings import with_values

    if trial.same_as is not None:
        return f"{trial.value:.4f}", f"as trial {trial.same_as}"
    try:
        tried = with_values(settings, trial.values)
        result = fit_trial(
            [with_values(tried, {"training.seed": seed}) for seed in seeds],
            *held_out(tried.data),
            should_prune=lambda step, value: study.should_prune(trial.number, step, value),
        )
    except InputError as error:
        if error.code not in _OF_THE_VALUES:
            raise
        study.tell(trial.number, None)
        return error.line.replace("|", "/"), ""
    if result.pruned:
        study.prune(trial.number)
        return f"pruned at {result.recall:.4f}", str(result.passes)
    study.tell(trial.number, result.recall)
    return f"{result.recall:.4f}", str(result.passes)


def _digest(settings: Settings, space: Space, seeds: Sequence[int], source_digest: str) -> str:
    """Return a short digest of all that a trial's figure depends on beside its values."""
    spelt = {name: vars(choice) if isinstance(choice, Range) else list(choice) for name, choice in space.items()}
    text = json.dumps([settings.model_dump(mode="json"), spelt, list(seeds), source_digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _spelt(values: Mapping[str, Any]) -> str:
    rounded = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in values.items()}
    return ", ".join(f"{name}={value}" for name, value in rounded.items())


def _write(settings: Settings, best: Trial, file: Path) -> None:
    """Write a configuration that `local_runner.py --config` takes: what differs from the defaults."""
    content = yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
    head = f"# Found by `python -m benchmarks.search`: recall@10 {best.value:.4f} on held-out train windows.\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, head + content)
    print(f"\nbest: trial {best.number}, recall@10 {best.value:.4f}, {_spelt(best.values)}")
    print(f"written: {file}, for local_runner.py --config")
