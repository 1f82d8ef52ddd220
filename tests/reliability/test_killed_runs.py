"""Runs that are killed in each step, one after the other, in one work directory; and the run that ends it all.

The last run stands on what a dozen killed ones left, so it is also where determinism is looked at: it has to come to
the same as a run that nothing happened to.
"""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import tensorflow as tf
from forked_runs import Ended, kill_in_step, run

from components.evaluation.evaluation_result import Metrics
from data.examples.manifest import Manifest
from pipeline.local import lay_out
from pipeline.runs.record import RunRecord, Step, read_run_record
from pipeline.settings import RunPaths
from serving.versions import published_versions

pytestmark = pytest.mark.slow

RESOLVERS = {"PreviousStatistics", "LatestBlessedModel"}
"""They look anew in every run."""

JUDGED_ANEW = {"Evaluator", "Pusher", "RunReport"}
"""Once the Evaluator blessed a model, the next run has one to compare with, and judges again."""

LONG_STEPS = {"StatisticsGen", "Transform", "Trainer", "Evaluator", "ServableCheck", "RunReport"}
"""Long enough to be hit in the middle, however the machine is loaded."""

SOON_SECONDS = 1.0
"""When a step is killed at the latest, but for the Trainer, of which more than the begin is to be hit."""

METRIC_TOLERANCE = 0.02
"""Of the recalls, NDCG and MRR: sums of floats depend on how threads share them out."""


@dataclass(frozen=True)
class Killed:
    step: str
    ended: Ended
    record: RunRecord | None
    versions: list[int]

    def states(self) -> dict[str, str]:
        return {step.name: step.state for step in self.record.steps} if self.record is not None else {}


@dataclass(frozen=True)
class Ordeal:
    work_dir: Path
    paths: RunPaths
    killed: list[Killed]
    last: Killed


@pytest.fixture(scope="module")
def ordeal(sample_run, tmp_path_factory) -> Ordeal:
    """Kill a run in each step, in its midst, and let the last one come to its end."""
    work_dir = tmp_path_factory.mktemp("ordeal") / "runs"
    serving = work_dir / "serving" / sample_run.settings.pipeline_name
    # What is served meanwhile.
    (serving / "1").mkdir(parents=True)
    (serving / "1" / "saved_model.pb").write_text("an older model")
    metadata = work_dir / "pipelines" / sample_run.settings.pipeline_name / "metadata.sqlite"

    def run_and_look(step: str, after_seconds: float | None) -> Killed:
        before = partial(kill_in_step, step, after_seconds) if after_seconds is not None else None
        ended = run("--release", "sample", "--work-dir", work_dir, before=before)
        try:
            record = read_run_record(str(metadata), sample_run.settings.model_gate)
        except LookupError:
            record = None
        return Killed(step, ended, record, published_versions(serving))

    killed = [run_and_look(step.name, _when_to_kill(step)) for step in sample_run.record.steps]
    last = run_and_look("", None)
    data_root = work_dir / "data" / sample_run.settings.pipeline_name
    paths = lay_out(sample_run.settings, Manifest.load(data_root), data_root, work_dir)
    return Ordeal(work_dir, paths, killed, last)


def test_every_step_was_killed_and_the_long_ones_in_their_midst(ordeal, sample_run):
    assert [killed.step for killed in ordeal.killed] == [step.name for step in sample_run.record.steps]
    assert len(ordeal.killed) > 10
    for killed in ordeal.killed:
        assert killed.ended.code == -signal.SIGKILL, killed
        assert killed.states().get(killed.step) in (None, "unfinished", "done")
        if killed.step in LONG_STEPS:
            assert killed.states()[killed.step] == "unfinished"


def test_a_rerun_takes_every_finished_step_from_before(ordeal):
    runs = [*ordeal.killed, ordeal.last]
    for earlier, later in itertools.pairwise(runs):
        finished = {name for name, state in earlier.states().items() if state in ("done", "cached")} - RESOLVERS
        assert {later.states()[name] for name in finished - JUDGED_ANEW} <= {"cached"}, earlier.step


def test_no_more_is_run_than_the_kills_made_necessary(ordeal):
    done = Counter(
        name for each in [*ordeal.killed, ordeal.last] for name, state in each.states().items() if state == "done"
    )
    for name in done.keys() - RESOLVERS:
        assert done[name] <= (2 if name in JUDGED_ANEW else 1), name


def test_the_step_that_was_killed_is_run_again(ordeal):
    runs = [*ordeal.killed, ordeal.last]
    for earlier, later in itertools.pairwise(runs):
        if earlier.step in LONG_STEPS:
            assert later.states()[earlier.step] in ("done", "unfinished")


def test_what_was_published_before_is_served_until_the_new_model_is_whole(ordeal):
    serving = Path(ordeal.paths.serving)
    for killed in ordeal.killed:
        assert killed.versions in ([1], [1, 2])
    assert ordeal.last.versions == [1, 2]
    assert (serving / "1" / "saved_model.pb").read_text() == "an older model"


def test_the_last_run_publishes_and_leaves_nothing_half_done(ordeal):
    assert ordeal.last.ended.code == 0, ordeal.last.ended.errors
    assert ordeal.last.ended.errors == ""
    assert sorted(entry.name for entry in Path(ordeal.paths.serving).iterdir()) == ["1", "2"]
    assert tf.saved_model.load(str(ordeal.last.record.published)).signatures["serving_default"]


def test_shards_and_vocabulary_are_those_of_an_undisturbed_run(ordeal, sample_run):
    assert _files(Path(ordeal.paths.data_root)) == _files(Path(sample_run.paths.data_root))
    found, expected = (
        next((record.outputs["Transform", "transform_graph"].uri / "transform_fn" / "assets").iterdir()).read_bytes()
        for record in (ordeal.last.record, sample_run.record)
    )
    assert found == expected
    assert expected.count(b"\n") > 100


def test_statistics_are_those_of_an_undisturbed_run(ordeal, sample_run):
    for output in ("statistics", "unpadded"):
        found, expected = (
            _files(record.outputs["StatisticsGen", output].uri) for record in (ordeal.last.record, sample_run.record)
        )
        assert found == expected
        assert {Path(name).parts[0] for name in expected} == {"Split-train", "Split-eval"}


def test_metrics_are_those_of_an_undisturbed_run_within_the_tolerance(ordeal, sample_run):
    expected = _rates(sample_run.record)
    found = {name: ordeal.last.record.evaluation_result.evaluation.candidate[name] for name in expected}
    assert found == pytest.approx(expected, abs=METRIC_TOLERANCE)


def _when_to_kill(step: Step) -> float:
    """Return the seconds after which a step is in its midst.

    What the shared run took may have been several times as long: it read what the steps load from a cold disk.
    """
    quarter = step.seconds / 4
    return quarter if step.name == "Trainer" else min(quarter, SOON_SECONDS)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _rates(record: RunRecord) -> Metrics:
    """Return the metrics that lie between 0 and 1; the lift is a quotient of two of them."""
    return {
        name: value
        for name, value in record.evaluation_result.evaluation.candidate.items()
        if not name.endswith("_lift")
    }
