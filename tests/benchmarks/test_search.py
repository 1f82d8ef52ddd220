"""A search of settings through Optuna: chosen, given up, gone on with, and never looking at the eval split."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import search, windows
from benchmarks.quality.trials import fit_trial
from benchmarks.studies.environment import make_study_environment
from benchmarks.studies.study import Range, Trial, opened
from data.errors import InputError
from data.examples.manifest import Manifest
from pipeline.settings import load_settings, with_values
from trainer_module.dataset import Windows

QUICK = """
name: quick
data: {release: sample}
model: {embedding_dim: 16, dropout: 0.1}
training: {epochs: 3, batch_size: 512}
"""

SPACE = {
    "model.dropout": Range(0.0, 0.5),
    "model.gru_units": [None, 8, 16],
    "training.batch_size": Range(64, 512, True),
}
FIRST = {"model.dropout": 0.1, "model.gru_units": None, "training.batch_size": 256}


@pytest.fixture(scope="module")
def python() -> Path:
    """Optuna's Python, or a skip with the reason."""
    try:
        return make_study_environment()
    except InputError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def study(tmp_path: Path, python: Path) -> Any:
    """Open one study of a file, again and again."""

    def open_it(space: Any = SPACE, first: Any = FIRST, seed: int = 42) -> Any:
        return opened(tmp_path / "studies.sqlite", "study", space, first=first, seed=seed, python=python)

    return open_it


def values_of(trials: list[Trial]) -> list[str]:
    return [json.dumps(trial.values, sort_keys=True) for trial in trials]


def test_the_configurations_own_values_are_tried_first_and_the_others_are_of_the_space(study: Any) -> None:
    with study() as opened_study:
        trials = []
        for value in (0.1, 0.4, 0.2):
            trials.append(opened_study.ask())
            opened_study.tell(trials[-1].number, value)
        best = opened_study.best()
    assert trials[0].values == FIRST
    assert len(set(values_of(trials))) == 3
    for trial in trials:
        assert 0 <= trial.values["model.dropout"] <= 0.5
        assert trial.values["model.gru_units"] in (None, 8, 16)
        assert type(trial.values["training.batch_size"]) is int
    assert (best.number, best.value, best.values) == (1, 0.4, trials[1].values)


def test_values_that_the_space_lacks_are_not_tried_first(study: Any) -> None:
    with study(first={**FIRST, "model.dropout": 0.6}) as opened_study:
        assert opened_study.ask().values["model.dropout"] <= 0.5


def test_a_study_goes_on_where_it_was_with_other_values(study: Any) -> None:
    trials = []
    for before in (0, 2, 4):
        with study() as opened_study:
            assert opened_study.tried == before
            for _ in range(2):
                trials.append(opened_study.ask())
                opened_study.tell(trials[-1].number, trials[-1].number / 10)
    assert [trial.number for trial in trials] == list(range(6))
    assert len(set(values_of(trials))) == 6


def test_a_trial_that_was_cut_off_is_tried_again_and_counts_once(study: Any) -> None:
    with study() as opened_study:
        opened_study.tell(opened_study.ask().number, 0.1)
        lost = opened_study.ask()
    for _ in range(2):
        with study() as opened_study:
            assert opened_study.tried == 1
            again = opened_study.ask()
            assert again.values == lost.values
    with study() as opened_study:
        opened_study.tell(opened_study.ask().number, 0.2)
    with study() as opened_study:
        assert opened_study.tried == 2
        assert opened_study.best().values == lost.values


def test_what_falls_behind_the_others_is_given_up(study: Any) -> None:
    with study() as opened_study:
        for _ in range(5):
            number = opened_study.ask().number
            assert not opened_study.should_prune(number, 1, 0.5)
            opened_study.tell(number, 0.5)
        better, worse = opened_study.ask().number, opened_study.ask().number
        assert not opened_study.should_prune(better, 1, 0.6)
        assert opened_study.should_prune(worse, 1, 0.4)
        opened_study.prune(worse)
        opened_study.tell(better, None)
        assert opened_study.best().value == 0.5
    with study() as opened_study:
        assert opened_study.tried == 7


def test_schedules_of_different_lengths_are_not_compared_pass_by_pass(study: Any) -> None:
    with study({"training.epochs": Range(2, 8)}, {"training.epochs": 4}) as opened_study:
        for value in (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1):
            trial = opened_study.ask()
            if trial.same_as is None:
                assert not opened_study.should_prune(trial.number, 1, value)
                opened_study.tell(trial.number, value)


def test_values_that_were_tried_before_are_not_tried_again(study: Any) -> None:
    with study({"model.dropout": [0.1]}, {"model.dropout": 0.1}) as opened_study:
        opened_study.tell(opened_study.ask().number, 0.3)
        again = opened_study.ask()
        assert (again.same_as, again.value) == (0, 0.3)
    with study({"model.dropout": [0.1]}, {"model.dropout": 0.1}) as opened_study:
        assert opened_study.tried == 2


def test_a_second_search_waits_for_the_first_to_end(study: Any) -> None:
    with study(), pytest.raises(InputError, match="another search is at work") as refused, study():
        pass
    assert refused.value.code == "B08"
    with study() as opened_study:
        assert opened_study.tried == 0


def test_an_interpreter_without_optuna_is_one_line(tmp_path: Path) -> None:
    asked = opened(tmp_path / "s.sqlite", "study", SPACE, first=FIRST, seed=1, python=Path(sys.executable))
    with pytest.raises(InputError, match="ended: ModuleNotFoundError: No module named 'optuna'") as refused, asked:
        pass
    assert refused.value.code == "B07"


def test_a_trial_reports_each_pass_and_ends_when_it_is_given_up(tmp_path: Path) -> None:
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)
    settings = load_settings(str(config))
    rows = np.random.default_rng(0).integers(1, 31, (600, 11)).astype(np.int32)
    train = Windows(rows[:, :10], rows[:, 10])
    fitted, held_out = train.take(np.arange(500)), train.take(np.arange(500, 600))
    told: list[tuple[int, float]] = []

    def should_prune(step: int, value: float) -> bool:
        told.append((step, value))
        return step == 2

    both = [with_values(settings, {"training.seed": seed}) for seed in (1, 2)]
    given_up = fit_trial(both, fitted, held_out, 30, should_prune=should_prune)
    assert [step for step, _ in told] == [1, 2]
    assert (given_up.pruned, given_up.passes, given_up.recall) == (True, 2, told[-1][1])

    whole = fit_trial(both, fitted, held_out, 30, should_prune=lambda *_: False)
    assert (whole.pruned, whole.passes) == (False, 3)
    assert 0 < whole.recall < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.dropout=0.1..0.5", Range(0.1, 0.5)),
        ("training.learning_rate=1e-3..0.03:log", Range(0.001, 0.03, log=True)),
        ("model.embedding_dim=16..128:log", Range(16, 128, log=True)),
        ("model.dropout=0.1,0.5", [0.1, 0.5]),
    ],
    ids=["even", "by logarithm", "whole numbers", "choices"],
)
def test_a_variation_is_a_range_or_choices(text: str, expected: Any) -> None:
    found = search.read_variation(text)[1]
    assert found == expected
    if isinstance(expected, Range):
        assert type(found.low) is type(expected.low)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vary", "model.dropout=0.1..0.5"], "--vary model.dropout: a range is for --trials"),
        (["--vary", "model.dropout=0.5..0.1", "--trials", "2"], "a range is LOW..HIGH"),
        (["--vary", "model.dropout=0..0.1:log", "--trials", "2"], "above 0 with :log"),
        (["--vary", "model.dropout=0..0.1", "--vary", "model.dropout=0.2", "--trials", "2"], "a range stands alone"),
        (["--trials", "2"], "--trials needs --vary"),
        (["--vary", "model.dropout=0.1", "--trials", "2", "--grid"], "--grid and --trials are two ways"),
        (["--vary", "model.dropout=0.1", "--best", "x.yaml"], "--best is for --trials"),
    ],
    ids=["range alone", "turned range", "log of zero", "twice", "nothing varied", "grid", "best alone"],
)
def test_arguments_that_make_no_sense_end_with_code_2(arguments: list[str], said: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        search.main(["--release", "sample", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_range_that_a_setting_can_not_have_is_refused_before_anything_is_made(tmp_path: Path, capsys: Any) -> None:
    vary = ["--vary", "model.dropout=0.1..1.5", "--trials", "2"]
    assert search.main(["--release", "sample", "--work-dir", str(tmp_path), *vary]) == 2
    assert "`model.dropout` is 1.5" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_search_in_which_no_training_ends_says_so_and_writes_nothing(
    tmp_path: Path, python: Path, capsys: Any
) -> None:
    vary = ["--vary", "training.learning_rate=1.0e+30", "--trials", "1"]
    assert search.main(["--release", "sample", "--work-dir", str(tmp_path), *vary]) == 2
    printed = capsys.readouterr()
    assert "| training stopped in epoch 1 of 12: the loss is no number" in printed.out
    assert printed.err.splitlines()[-1] == "error: no trial ended with a figure: give other values to --vary [B09]"
    assert not list(tmp_path.glob("*.yaml"))


@pytest.mark.slow
def test_a_search_tries_goes_on_and_writes_the_best_without_the_eval_split(
    tmp_path: Path, python: Path, capsys: Any, monkeypatch: Any
) -> None:
    config, work_dir, best_file = tmp_path / "quick.yaml", tmp_path / "work", tmp_path / "best.yaml"
    config.write_text(QUICK)
    settings = load_settings(str(config))
    folder = windows.data_folder(settings.data, work_dir)
    windows.make_data_set(settings.data, None, work_dir)
    for shard in Manifest.load(folder).shards_of("eval"):
        (folder / shard.name).write_bytes(b"not a shard")
    # It would find the damage, and mend it.
    monkeypatch.setattr(windows, "generate", lambda *_, **__: None)
    with pytest.raises(Exception, match=r"corrupted|not in gzip|data loss|inflate"):
        windows.read_data_set(folder)

    def searched(trials: int) -> list[list[str]]:
        vary = ["--vary", "model.dropout=0.0..0.5", "--vary", "model.embedding_dim=4,16", "--best", str(best_file)]
        given = ["--release", "sample", "--config", str(config), "--work-dir", str(work_dir), *vary]
        assert search.main([*given, "--trials", str(trials)]) == 0
        said = capsys.readouterr().out
        return [line.strip("| ").split(" | ") for line in said.splitlines() if line.startswith("| ")][2:]

    first = searched(2)
    assert [row[0] for row in first] == ["0", "1"]
    assert first[0][1] == "model.dropout=0.1, model.embedding_dim=16"
    assert [row[0] for row in searched(3)] == ["2"]
    assert searched(3) == []

    found = load_settings(str(best_file))
    # The figure of the best is had again by its file, on the same windows.
    fitted, held_out, num_movies = search._held_out(found.data, None, work_dir)
    again = fit_trial(
        [with_values(found, {"training.seed": search.VALIDATION_SEED})],
        fitted,
        held_out,
        num_movies,
        should_prune=lambda *_: False,
    )
    assert f"recall@10 {again.recall:.4f} on" in best_file.read_text().splitlines()[0]
    assert found == with_values(
        settings,
        {"model.dropout": found.model.dropout, "model.embedding_dim": found.model.embedding_dim},
    )
