"""Answers to every user: a real run with the step, whose answers they are, and what changes that."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.examples.last_histories import LAST_HISTORIES_FILE
from data.examples.manifest import Manifest
from pipeline.local import choose_settings, lay_out, run_locally
from pipeline.runs.record import OutputArtifact, read_run_record
from serving.labels import promote
from serving.recommender import Recommender
from serving.versions import publish, roll_back

pytestmark = pytest.mark.slow

VALUES = ["batch_answers.enabled=true", "batch_answers.top_k=5", "batch_answers.history_length=12", "training.epochs=4"]
WANTED = ("BatchRecommender", "answers")


class Runs:
    """A work directory in which every run answers all users."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.settings = choose_settings(None, "sample", None, None, VALUES)
        self.data_root = work_dir / "data" / self.settings.pipeline_name
        self.said = ""

    def run(self, from_node: str | None = None) -> OutputArtifact:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            run_locally(work_dir=self.work_dir, release="sample", values=VALUES, from_node=from_node)
        self.said = said.getvalue()
        paths = lay_out(self.settings, Manifest.load(self.data_root), self.data_root, self.work_dir)
        self.serving = Path(paths.serving)
        self.record = read_run_record(paths.local_metadata, self.settings.model_gate)
        return self.record.outputs[WANTED]

    def expected(self, version: int) -> list[tuple[int, list[int]]]:
        """Return a version's answers to every history of the data folder, asked one by one."""
        recommender = Recommender.load(self.serving / str(version))
        rows = pq.read_table(self.data_root / LAST_HISTORIES_FILE).to_pylist()
        return [(row["id"], [movie.movie_id for movie in recommender.recommend(row["history"], 5)]) for row in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    runs = Runs(tmp_path_factory.mktemp("answers") / "runs")
    runs.run()
    return runs


def answers_of(artifact: OutputArtifact) -> list[tuple[int, list[int]]]:
    rows = pq.read_table(artifact.uri / "answers.parquet").to_pylist()
    return [(row["id"], row["movie_id"]) for row in rows]


def state_of(runs: Runs) -> str:
    return {step.name: step.state for step in runs.record.steps}["BatchRecommender"]


def test_every_user_is_answered_as_the_published_model_answers_each_alone(runs):
    artifact = runs.record.outputs[WANTED]
    answers = answers_of(artifact)

    assert artifact.properties["answered_by"] == 1
    assert artifact.properties["users"] == len(answers) == Manifest.load(runs.data_root).times.users
    assert len({user for user, _ in answers}) == len(answers)
    assert answers == runs.expected(1)


def test_the_same_run_again_takes_the_answers_from_the_cache_and_a_rollback_or_a_label_has_others_written(runs):
    # What ran before the first version was published is another state: only the run after it can be a repetition.
    runs.run()
    runs.run()
    assert state_of(runs) == "cached"

    from synthetic_model import export_untrained_model

    export_untrained_model(runs.work_dir / "untrained", 30)
    publish(runs.work_dir / "untrained", runs.serving, {}, keep=5)
    second = runs.run()
    assert (second.properties["answered_by"], state_of(runs)) == (2, "done")
    assert answers_of(second) == runs.expected(2) != runs.expected(1)

    roll_back(runs.serving, 1)
    third = runs.run()
    assert third.properties["answered_by"] == 3
    assert third.properties["model_digest"] != second.properties["model_digest"]
    assert answers_of(third) == runs.expected(1)

    promote(runs.serving, 2, "stable")
    fourth = runs.run()
    assert (fourth.properties["answered_by"], answers_of(fourth)) == (2, runs.expected(2))


def test_a_run_may_begin_at_the_step(runs):
    runs.run(from_node="BatchRecommender")
    assert next(step.name for step in runs.record.steps if step.state == "done") == "BatchRecommender"


def test_the_report_shows_the_step(runs):
    page = (runs.work_dir / "pipelines" / runs.settings.pipeline_name / "report.html").read_text()
    assert "BatchRecommender" in page
