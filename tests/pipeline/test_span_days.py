"""What is known of the spans so far, from ML Metadata alone."""

from __future__ import annotations

from pathlib import Path

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline.metadata_store import open_store
from pipeline.rolling.days import read_days
from pipeline.rolling.outcomes import SpanOutcome, keep_outcome


class Days:
    """Steps of days, written as TFX writes them."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)
        self.store: mlmd.MetadataStore = open_store(self.file)
        self._step = self.store.put_execution_type(pb.ExecutionType(name="step"))

    def _made(self, kind: str, read: int | None, state: pb.Artifact.State = pb.Artifact.LIVE, **properties) -> int:
        artifact = pb.Artifact(type_id=self.store.put_artifact_type(pb.ArtifactType(name=kind)), state=state)
        for name, value in properties.items():
            field = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(artifact.custom_properties[name], field, value)
        (made,) = self.store.put_artifacts([artifact])
        (execution,) = self.store.put_executions([pb.Execution(type_id=self._step)])
        events = [(made, pb.Event.OUTPUT), *([(read, pb.Event.INPUT)] if read is not None else [])]
        for artifact_id, of_type in events:
            event = pb.Event(execution_id=execution, artifact_id=artifact_id, type=of_type)
            event.path.steps.add().key = "model"
            self.store.put_events([event])
        return made

    def publish(self, version: str) -> int:
        model = self._made("Model", None)
        self._made("PushedModel", model, pushed=1, pushed_version=version)
        return model

    def measure(self, span: int, model: int | None, recall: float = 0.0, **more) -> None:
        figures = {"recall_at_10": recall, "ndcg_at_10": recall / 2, "num_queries": 100.0} if model is not None else {}
        self._made("next_movie.PrequentialFigures", model, span=span, **figures, **more)

    def decide(self, span: int, outcome: str, reason: str = "") -> None:
        keep_outcome(self.store, span, SpanOutcome(outcome=outcome, manifest_digest="", reason=reason))


@pytest.fixture
def days(tmp_path: Path) -> Days:
    """Return a first day, a second one, a refused third and a fourth that runs."""
    days = Days(tmp_path / "metadata.sqlite")
    days.measure(1, None)
    days.decide(1, "published")
    days.measure(2, days.publish("1"), 0.25)
    days.decide(2, "published")
    days.decide(3, "refused", "half of it is gone")
    days.measure(4, days.publish("2"), 0.5)
    return days


def test_each_span_stands_with_the_version_that_was_served_on_it_and_what_became_of_it(days: Days):
    found = read_days(days.file, 4, None)
    assert [(day.span, day.version, day.recall, day.ndcg, day.queries) for day in found] == [
        (1, None, None, None, None),
        (2, "1", 0.25, 0.125, 100),
        (3, None, None, None, None),
        (4, "2", 0.5, 0.25, 100),
    ]
    assert [day.outcome for day in found] == ["published", "published", "refused", None]
    assert [day.span for day in found if day.current] == [4]
    assert found[2].reason == "half of it is gone"
    # Wilson's interval of 25 hits in 100, by hand: (25 + 1.92 -+ 1.96 sqrt(18.75 + 0.96)) / 103.84.
    assert (found[1].low, found[1].high) == (pytest.approx(0.1755, abs=1e-4), pytest.approx(0.3430, abs=1e-4))


def test_the_run_that_asks_says_what_became_of_its_span_whatever_was_kept_before(days: Days):
    days.decide(4, "refused", "by a run of before")
    now = SpanOutcome(outcome="judged", manifest_digest="")
    assert read_days(days.file, 4, now)[-1].outcome == "judged"
    assert read_days(days.file, 4, None)[-1].outcome is None


def test_a_span_that_was_measured_again_stands_with_its_newest_figures(days: Days):
    days.measure(2, days.publish("7"), 0.75)
    assert [(day.version, day.recall) for day in read_days(days.file, 4, None) if day.span == 2] == [("7", 0.75)]


def test_figures_stay_when_files_were_deleted_and_what_a_killed_step_left_is_none(days: Days):
    (measured, *_) = [
        found
        for found in days.store.get_artifacts_by_type("next_movie.PrequentialFigures")
        if found.custom_properties["span"].int_value == 2
    ]
    measured.state = pb.Artifact.DELETED
    days.store.put_artifacts([measured])
    days._made("next_movie.PrequentialFigures", None, pb.Artifact.ABANDONED)
    assert [day.recall for day in read_days(days.file, 4, None)] == [None, 0.25, None, 0.5]
