"""Days that are killed in one step and then in the next, in one work directory; and what is served on those after.

The first day ends as if nothing had happened to it. The second one has a cold training beside the warm one, and the
third begins with a version that isn't the newest.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from forked_runs import Ended, kill_in_step, run
from shared_run import OF_ANY_QUALITY

from components.evaluation.metric_names import RECALL
from components.history.seen_data import seen_by
from components.history.spans import read_for
from components.naming import (
    COLD_COMPARISON,
    EVALUATOR,
    PREQUENTIAL,
    PUSHER,
    RUN_REPORT,
    SPAN_GATE,
    TRAINER,
)
from pipeline.metadata_store import open_store
from pipeline.rolling.outcomes import read_outcomes
from pipeline.settings import load_settings
from serving.export_record import read_record
from serving.labels import STABLE, promote
from serving.versions import published_versions

pytestmark = pytest.mark.slow

SETTINGS = load_settings("rolling")

STEPS = (SPAN_GATE, PREQUENTIAL, TRAINER, EVALUATOR, PUSHER, RUN_REPORT)
"""In their order: before and behind each gate, in training, and around the publication. The steps that every run has
are killed one by one in `test_killed_runs.py`."""

SOON_SECONDS = 1.0
"""When a step is killed at the latest; a quicker one is killed at its end."""


def kill_before_the_outcome_is_kept() -> None:
    """Have the process killed when all steps are over, and nothing says so yet."""
    from pipeline.rolling import day

    def kill(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    day.keep_outcome = kill


class Series:
    """The sample by years, in a work directory."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.serving = work_dir / "serving" / SETTINGS.serving_name

    def day(self, span: int, *values: str, before=None) -> Ended:
        settings = [part for value in (*OF_ANY_QUALITY, *values) for part in ("--set", value)]
        return run("--config", "rolling", "--work-dir", self.work_dir, "--span", span, *settings, before=before)

    @property
    def store(self):
        return open_store(str(self.work_dir / "pipelines" / SETTINGS.pipeline_name / "metadata.sqlite"))

    def measured(self) -> dict[int, tuple[set[int], bool]]:
        """Return by span which models were measured on it, and whether there are figures."""
        return {
            found.custom_properties["span"].int_value: (
                read_for(self.store, [found.id], "model"),
                RECALL in found.custom_properties,
            )
            for found in self.store.get_artifacts_by_type("next_movie.PrequentialFigures")
            if "span" in found.custom_properties
        }

    def outcomes(self) -> dict[int, str]:
        return {span: found.outcome for span, found in read_outcomes(self.store).items()}

    def pushed(self, version: int) -> set[int]:
        """Return the models that were published as a version."""
        pushes = [
            found.id
            for found in self.store.get_artifacts_by_type("PushedModel")
            if found.custom_properties["pushed_version"].string_value == str(version)
        ]
        return read_for(self.store, pushes, "model")


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Series:
    return Series(tmp_path_factory.mktemp("killed-days") / "runs")


def test_a_first_day_that_is_killed_again_and_again_ends_as_if_it_had_not_been(series):
    for step in STEPS:
        killed = series.day(1, before=partial(kill_in_step, step, SOON_SECONDS))
        assert killed.code == -signal.SIGKILL, (step, killed)
        assert series.outcomes() == {}
        assert published_versions(series.serving) in ([], [1] if step in (PUSHER, RUN_REPORT) else [])
    assert series.day(1, before=kill_before_the_outcome_is_kept).code == -signal.SIGKILL
    assert (published_versions(series.serving), series.outcomes()) == ([1], {})

    last = series.day(1)

    assert last.code == 0, last
    assert (published_versions(series.serving), series.outcomes()) == ([1], {1: "published"})
    assert series.measured() == {1: (set(), False)}
    # Nothing was trained twice, and the day began with no model in each run.
    (model,) = series.pushed(1)
    assert read_record(series.serving / "1").training.start == "cold"
    assert {seen.span for seen in seen_by(series.store, model)} == {1}
    assert "nothing to do: span 1" in series.day(1).output


def test_a_day_with_a_cold_training_beside_the_warm_one_goes_on_where_it_was_killed(series):
    for step in (COLD_COMPARISON, PUSHER):
        killed = series.day(2, "rolling.cold_every=2", before=partial(kill_in_step, step, SOON_SECONDS))
        assert killed.code == -signal.SIGKILL, (step, killed)

    last = series.day(2, "rolling.cold_every=2")

    assert last.code == 0, last
    assert (published_versions(series.serving), series.outcomes()[2]) == ([1, 2], "published")
    assert "from the cold model's on the same" in last.output
    # Trained for one pass each, on the whole range and on the new span: either may be the better one.
    start = read_record(series.serving / "2").training.start
    assert f"so that the {start} one goes on" in last.output
    assert series.measured()[2] == (series.pushed(1), True)
    assert "version 1 on span 2, which it had not seen: recall@10 0." in last.output


def test_a_refused_span_is_learned_from_once_its_limits_are_set_and_begins_with_the_stable_version(series):
    refused = series.day(3, "rolling.span_gate.min_volume=2")
    assert refused.code == 3, refused
    assert "set the limits of rolling.span_gate [G17]" in refused.output
    assert (published_versions(series.serving), series.outcomes()[3]) == ([1, 2], "refused")
    promote(series.serving, 1, STABLE)

    ended = series.day(3, "rolling.span_gate.min_volume=0.1")

    assert ended.code == 0, ended
    assert (published_versions(series.serving), series.outcomes()[3]) == ([1, 2, 3], "published")
    assert series.measured()[3] == (series.pushed(1), True)
    assert "version 1 on span 3, which it had not seen" in ended.output
