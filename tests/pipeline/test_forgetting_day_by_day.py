"""A user forgotten between two spans: what the next training reads, how it begins, and what is left of the user."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from forked_runs import run
from shared_run import OF_ANY_QUALITY

import history
from components.batch_answers.answers import ANSWERS_FILE
from data.examples.last_histories import LAST_HISTORIES_FILE
from data.examples.manifest import Manifest
from pipeline.housekeeping.run_graph import ANSWERS_TYPE, EXAMPLES_TYPE, RunGraph, read_run_graph
from pipeline.metadata_store import open_store
from pipeline.settings import load_settings
from serving.export_record import read_record
from serving.training_record import TrainingRecord

pytestmark = pytest.mark.slow

SETTINGS = load_settings("rolling")
USER = 5
"""Has events in the first two spans."""


class Days:
    """A work directory in which the spans of the sample are learned from, and all users answered."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.serving = work_dir / "serving" / SETTINGS.serving_name
        self.series = work_dir / "data" / SETTINGS.pipeline_name
        self.metadata = work_dir / "pipelines" / SETTINGS.pipeline_name / "metadata.sqlite"

    def next_span(self) -> None:
        arguments = [word for value in ("batch_answers.enabled=true", *OF_ANY_QUALITY) for word in ("--set", value)]
        ended = run("--config", "rolling", "--work-dir", self.work_dir, "--next-span", *arguments)
        assert ended.code == 0, ended

    def training(self, version: int) -> TrainingRecord:
        return read_record(self.serving / str(version)).training

    def answered(self) -> set[int]:
        graph = read_run_graph(self.metadata)
        return set(pq.read_table(graph.folder(graph.of_kind(ANSWERS_TYPE)[-1]) / ANSWERS_FILE)["id"].to_pylist())

    def users_of(self, *spans: int) -> set[int]:
        files = [self.series / f"span-{span}" / LAST_HISTORIES_FILE for span in spans]
        return {user for file in files for user in pq.read_table(file)["id"].to_pylist()}

    def forget(self, *more: str) -> None:
        assert history.main(["forget", "--user", str(USER), "--work-dir", str(self.work_dir), *more]) == 0


def files_with(folder: Path, user: int) -> set[str]:
    """Return the Parquet files below a folder that name a user."""
    return {
        str(file.relative_to(folder))
        for file in folder.rglob("*.parquet")
        for column in ({"id", "user_id"} & set(pq.read_schema(file).names))
        if user in pq.read_table(file)[column].to_pylist()
    }


def learned_from(graph: RunGraph) -> list[tuple[int, int]]:
    """Return the spans, with their revisions, that the last Trainer read."""
    trainer = max(execution for execution, node in graph.nodes.items() if node == "Trainer")
    facts = [
        Manifest.load(graph.folder(artifact)).span
        for _, artifact in graph.read[trainer]
        if graph.kinds[artifact] == EXAMPLES_TYPE
    ]
    return sorted((one.number, one.revision) for one in facts)


def test_the_training_after_a_user_is_forgotten_is_cold_and_reads_none_of_the_user_and_the_next_is_warm_again(
    tmp_path, capsys
):
    days = Days(tmp_path.resolve() / "runs")
    days.next_span()
    days.next_span()
    assert days.answered() == days.users_of(1, 2) > {USER}
    assert days.training(2).start == "warm"

    before = files_with(days.work_dir, USER)
    days.forget("--dry-run")
    said = capsys.readouterr().out
    assert "would be taken out of spans 1, 2" in said
    assert files_with(days.work_dir, USER) == before != set()
    days.forget()
    said = capsys.readouterr().out
    assert "2 copies of spans that earlier runs read deleted; read again: spans 1, 2" in said
    assert "2 files of batch answers written without user 5" in said
    assert "published versions that learned from user 5: 1, 2 (2 is served: the next training is cold)" in said
    assert files_with(days.work_dir, USER) == set()
    answers = open_store(str(days.metadata)).get_artifacts_by_type(ANSWERS_TYPE)
    assert [one.custom_properties["users_forgotten"].int_value for one in answers] == [1, 1]

    days.next_span()
    assert learned_from(read_run_graph(days.metadata)) == [(1, 1), (2, 1), (3, 0)]
    assert (days.training(3).start, days.training(3).spans) == ("cold", ((1, 1), (2, 1), (3, 0)))
    assert days.training(3).reason == "the served model learnt from users who were forgotten since (spans 1, 2)"
    assert days.training(3).reason in (days.metadata.parent / "report.html").read_text()
    assert days.answered() == days.users_of(1, 2, 3)

    days.next_span()
    assert (days.training(4).start, days.training(4).spans) == ("warm", ((1, 1), (2, 1), (3, 0), (4, 0)))
    capsys.readouterr()
    days.forget()
    said = capsys.readouterr().out
    assert "no span holds events of user 5" in said
    assert "published versions that learned from users who were forgotten before: 1, 2\n" in said
