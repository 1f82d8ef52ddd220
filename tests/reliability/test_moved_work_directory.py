"""A work directory that was moved, and one that was copied: both go on, and neither looks at where it came from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from shared_run import SampleRun

import inspect_data
import models
from components.data_gate.rules import VERDICT_FILE
from data.examples.manifest import Manifest
from pipeline.inspection.statistics_store import find_sources
from pipeline.local import lay_out
from pipeline.runs.history import read_history
from pipeline.runs.record import open_store, read_run_record
from serving.newest_model import newest_model
from serving.recommender import Recommender
from serving.versions import published_versions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def moved(sample_run, tmp_path_factory) -> Iterator[SampleRun]:
    """Move the shared run's work directory: where its metadata was written, nothing is left."""
    work_dir = tmp_path_factory.mktemp("moved") / "100% ü #映画" / "runs"
    work_dir.parent.mkdir()
    with sample_run.put_back():
        sample_run.work_dir.rename(work_dir)
        try:
            yield at(work_dir, sample_run)
        finally:
            sample_run.work_dir.mkdir()


@pytest.fixture(scope="module")
def copied(moved, tmp_path_factory) -> SampleRun:
    """Copy the work directory as `cp -a` does; the original stays."""
    work_dir = tmp_path_factory.mktemp("copied") / "runs"
    shutil.copytree(moved.work_dir, work_dir, symlinks=True)
    return at(work_dir, moved)


def at(work_dir: Path, run: SampleRun) -> SampleRun:
    data_root = work_dir / "data" / run.settings.pipeline_name
    paths = lay_out(run.settings, Manifest.load(data_root), data_root, work_dir)
    return dataclasses.replace(run, work_dir=work_dir, paths=paths)


def recorded_paths(run: SampleRun) -> list[str]:
    """Return all that the artifacts in ML Metadata say that is an absolute path."""
    artifacts = open_store(run.paths.metadata).get_artifacts()
    said = [artifact.uri for artifact in artifacts]
    for artifact in artifacts:
        said += [value.string_value for value in (*artifact.properties.values(), *artifact.custom_properties.values())]
    return [text for text in said if text.startswith("/")]


def content_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the time and the digest of each file."""
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_data_are_inspected_in_a_moved_directory_before_any_new_run(moved, capsys):
    before = content_of(moved.work_dir)

    [source] = find_sources(moved.work_dir)
    code = inspect_data.main(["show", "latest", "--json", "--work-dir", str(moved.work_dir)])

    shown = json.loads(capsys.readouterr().out)
    assert code == 0
    assert shown["splits"]["train"] == source.read_statistics("train").model_dump()
    for place in (source.unpadded, source.padded, source.examples):
        assert place.is_relative_to(moved.work_dir)
        assert place.is_dir()
    assert content_of(moved.work_dir) == before


def test_the_record_of_a_moved_run_names_the_present_place(moved):
    record = read_run_record(moved.paths.metadata, moved.settings.model_gate)

    assert record.evaluation_result.evaluation.candidate == moved.record.evaluation_result.evaluation.candidate
    assert record.published == Path(moved.paths.serving) / "1"
    assert all(output.uri.is_relative_to(moved.work_dir) for output in record.outputs.values())
    assert [run.current for run in read_history(record)] == [True]


def test_what_was_published_is_found_and_asked_where_it_lies_now(moved, capsys):
    serving = moved.work_dir / "serving"

    assert models.main(["show", "--json", "--serving", str(serving)]) == 0
    said = json.loads(capsys.readouterr().out)
    folder = newest_model(serving)
    recommender = Recommender.load(folder)
    history = [movie.movie_id for movie in recommender.recommend([], 3)]

    assert said["version"] == 1
    assert folder == Path(moved.paths.serving) / "1"
    assert len(recommender.recommend(history, 5)) == 5


def test_a_run_in_a_moved_directory_goes_on_from_the_runs_before(moved, sample_run):
    record, output = moved.run_again()

    page = Path(moved.paths.metadata).with_name("report.html")
    verdict = json.loads((record.outputs["DataGate", "verdict"].uri / VERDICT_FILE).read_text())
    history = read_history(record)
    versions = published_versions(Path(moved.paths.serving))
    assert "moved or copied" in output
    # The first run after a move runs every step.
    assert {step.state for step in record.steps} == {"done"}
    assert verdict["compared_with_previous"]
    assert record.evaluation_result.evaluation.baseline == pytest.approx(
        moved.record.evaluation_result.evaluation.candidate
    )
    assert [run.current for run in history] == [False, True]
    assert versions in ([1], [1, 2])
    assert record.published == Path(moved.paths.serving) / str(versions[-1])
    assert f"published: {record.published}" in output
    assert f"\nReport\n  {page}" in output
    assert str(sample_run.work_dir) not in output + page.read_text()
    assert all(Path(path).is_relative_to(moved.work_dir) for path in recorded_paths(moved))


def test_the_second_run_in_a_moved_directory_takes_its_steps_from_the_cache(moved):
    record, output = moved.run_again()

    assert "moved or copied" not in output
    assert {step.name: step.state for step in record.steps}["Trainer"] == "cached"


def test_a_run_in_a_copy_touches_nothing_of_the_original(moved, copied):
    before = content_of(moved.work_dir)

    assert all(source.examples.is_relative_to(copied.work_dir) for source in find_sources(copied.work_dir))
    record, output = copied.run_again(from_node="Evaluator", use_cache=False)

    assert "moved or copied" in output
    assert record.evaluation_result.evaluation.baseline is not None
    assert record.published.parent == Path(copied.paths.serving)
    assert all(Path(path).is_relative_to(copied.work_dir) for path in recorded_paths(copied))
    assert content_of(moved.work_dir) == before


def test_a_run_in_the_original_touches_nothing_of_a_copy(moved, copied):
    before = content_of(copied.work_dir)

    record, output = moved.run_again(from_node="Evaluator", use_cache=False)

    assert "moved or copied" not in output
    assert record.published.parent == Path(moved.paths.serving)
    assert content_of(copied.work_dir) == before
