"""One line a step, from TFX's own log records."""

from __future__ import annotations

import logging

import pytest

from pipeline.runs.progress import StepPrinter, progress_shown


@pytest.fixture
def steps() -> StepPrinter:
    return StepPrinter()


def log(steps: StepPrinter, *messages: str) -> None:
    for message in messages:
        steps.handle(logging.LogRecord("absl", logging.INFO, "", 0, message, (), None))


def test_a_step_is_told_with_its_seconds(steps, capsys):
    log(steps, "Component Trainer is running.", "anything else", "Component Trainer is finished.")
    name, seconds, unit = capsys.readouterr().out.split()
    assert (name, unit) == ("Trainer", "s")
    assert float(seconds) < 5


def test_a_step_from_the_cache_says_so(steps, capsys):
    log(
        steps,
        "Component Transform is running.",
        "A cached execution 17 is used.",
        "Component Transform is finished.",
        "Component Trainer is running.",
        "Component Trainer is finished.",
    )
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["Transform", "cached"]
    assert "cached" not in second


def test_the_step_that_runs_is_known_until_it_is_finished(steps):
    assert steps.running is None
    log(steps, "Component Trainer is running.")
    assert steps.running == "Trainer"
    log(steps, "Component Trainer is finished.")
    assert steps.running is None


def test_other_records_are_not_shown(steps, capsys):
    log(steps, "Component Trainer has something to say.", "MetadataStore with DB connection initialized")
    assert capsys.readouterr().out == ""


def test_progress_is_shown_while_a_run_lasts_and_no_longer(capsys):
    libraries, notes = logging.getLogger("absl"), logging.getLogger("next_movie")
    before = [(logger.handlers, logger.level, logger.propagate) for logger in (libraries, notes)]

    with pytest.raises(RuntimeError), progress_shown(verbose=False) as shown:
        libraries.info("Component Trainer is running.")
        notes.getChild("trainer").info("epoch 1 of 2")
        assert shown.running == "Trainer"
        raise RuntimeError
    notes.getChild("trainer").info("epoch 2 of 2")

    assert capsys.readouterr().out == "    epoch 1 of 2\n"
    assert [(logger.handlers, logger.level, logger.propagate) for logger in (libraries, notes)] == before
