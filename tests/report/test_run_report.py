from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
import yaml
from ml_metadata.proto import metadata_store_pb2

from components.report.report_model import FACTS_FILE, REPORT_FILE, ReportModel
from components.report.samples import sample_recommendations
from pipeline.local import StepFailedError, run_locally
from pipeline.runs.record import open_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def facts(sample_run: Any) -> ReportModel:
    folder = sample_run.artifact("RunReport", "report")
    return ReportModel.model_validate_json((folder / FACTS_FILE).read_text())


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def local_page(sample_run: Any) -> Path:
    return Path(sample_run.paths.metadata).parent / REPORT_FILE


def test_the_report_is_an_artifact_that_descends_from_what_it_tells_about(sample_run: Any) -> None:
    store = open_store(sample_run.paths.metadata)
    (report,) = store.get_artifacts_by_type("next_movie.RunReport")
    events = store.get_events_by_artifact_ids([report.id])
    (made_by,) = {event.execution_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT}
    inputs = [
        event.path.steps[0].key
        for event in store.get_events_by_execution_ids([made_by])
        if event.type == metadata_store_pb2.Event.INPUT
    ]

    assert {"examples", "statistics", "verdict", "model", "evaluation", "blessing", "pushed_model"} <= set(inputs)
    assert (Path(report.uri) / REPORT_FILE).stat().st_size < 3_000_000


def test_the_metrics_are_those_that_the_evaluator_wrote(sample_run: Any, facts: ReportModel) -> None:
    result = tfma.load_eval_result(str(sample_run.artifact("Evaluator", "evaluation")))
    written = {key: outputs[""][""] for key, outputs in result.slicing_metrics}

    for row in facts.metrics:
        assert row.model == pytest.approx(written[()][row.name]["doubleValue"])
    tail = next(part for part in facts.slices if part.feature == "context_length" and part.value == "10")
    assert tail.recall == pytest.approx(written[(("context_length", 10),)]["recall_at_10"]["doubleValue"])


def test_the_learning_curves_are_those_that_the_trainer_wrote(sample_run: Any, facts: ReportModel) -> None:
    written = json.loads((sample_run.artifact("Trainer", "model_run") / "history.json").read_text())

    assert facts.curves["loss"] == written["loss"]


def test_slices_say_how_many_examples_they_hold(sample_run: Any, facts: ReportModel) -> None:
    held_out = next(split for split in facts.data.splits if split.split == "eval")

    by_length = [part.examples for part in facts.slices if part.feature == "context_length"]
    assert sum(by_length) == held_out.examples


def test_the_samples_are_asked_of_the_model_by_the_same_function(sample_run: Any, facts: ReportModel) -> None:
    again = sample_recommendations(sample_run.model, sample_run.artifact("ExampleGen", "examples"), 6, 10)

    assert [sample.label for sample in facts.samples] == [sample.label for sample in again]
    for told, asked in zip(facts.samples, again, strict=True):
        assert [movie.title for movie in told.recommended] == [movie.title for movie in asked.recommended]
        assert told.label_rank == asked.label_rank


def test_the_samples_show_hits_and_misses_alike_each_with_its_exact_rank(sample_run: Any, facts: ReportModel) -> None:
    model = tf.saved_model.load(str(sample_run.model))
    catalogue = json_lines(sample_run.artifact("ExampleGen", "examples") / "catalogue.jsonl")
    genres = {movie["title"]: movie["genres"] for movie in catalogue}

    assert sum(sample.is_hit for sample in facts.samples) == 3
    for sample in facts.samples:
        history = tf.constant([sample.history_ids], tf.int64)
        answer = model.signatures["serving_default"](context_movie_id=history)["movie_id"].numpy()[0].tolist()
        label = next(movie["id"] for movie in catalogue if movie["title"] == sample.label)
        if label in answer:
            assert answer.index(label) + 1 == sample.label_rank
        assert sample.is_hit == (label in answer[:10])
        assert sample.label_genres == genres[sample.label]
        assert [movie.genres for movie in sample.recommended] == [genres[movie.title] for movie in sample.recommended]


def test_the_page_names_protocol_and_provenance_of_its_run(sample_run: Any, facts: ReportModel) -> None:
    candidate = sample_run.record.evaluation_result.evaluation.candidate
    publication = json.loads((sample_run.model / "assets.extra" / "publication.json").read_text())

    assert (facts.queries, facts.candidates) == (candidate["num_queries"], candidate["num_candidates"])
    assert facts.provenance is not None
    assert facts.provenance.source_digest == publication["source_digest"]
    page = local_page(sample_run).read_text()
    assert f"<td>{importlib.metadata.version('tensorflow-model-analysis')}</td>" in page
    assert "2,377: each eval example asks once" in page


def test_the_local_page_adds_the_timeline_and_its_place_is_printed(sample_run: Any) -> None:
    page = local_page(sample_run)
    text = page.read_text()

    assert str(page) in sample_run.output
    assert "published" in text
    for step in sample_run.record.steps:
        assert f'<th scope="row">{step.name}</th>' in text
    assert "(this)" in text


def test_a_failed_step_is_told_on_top_with_its_error(
    sample_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = yaml.safe_load(sample_run.settings.model_copy().model_dump_json(exclude={"kubeflow"}))
    settings["training"]["seed"] += 1
    config = tmp_path / "changed.yaml"
    config.write_text(yaml.safe_dump(settings))

    def run_out_of_memory(*_: Any, **__: Any) -> None:
        raise MemoryError("no room for <b>anything</b>")

    with sample_run.put_back():
        with monkeypatch.context() as changed, pytest.raises(StepFailedError, match="Trainer"):
            # Not `run_fn` itself: TFX loads its module anew.
            changed.setattr("trainer_module.training.fit", run_out_of_memory)
            run_locally(config=str(config), work_dir=sample_run.work_dir)
        # The module that was loaded anew keeps what it imported.
        importlib.reload(sys.modules["trainer_module.trainer"])
        text = local_page(sample_run).read_text()

    assert str(local_page(sample_run)) in capsys.readouterr().out
    assert text.index("Step Trainer failed") < text.index("Summary")
    assert "no room for &lt;b&gt;anything&lt;/b&gt;" in text
    # What the run got to is told all the same, and so is the model of the run before.
    assert "21,388" in text
    assert "blessed" in text
