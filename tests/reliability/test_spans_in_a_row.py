"""Spans of the sample in a row: cold, warm, refused, and good again."""

from __future__ import annotations

from pathlib import Path

import pytest
from forked_runs import Ended, run

from data.examples.manifest import Manifest
from data.examples.shards import file_sha256
from data.releases.catalogue import Catalogue
from pipeline.metadata_store import open_store
from pipeline.rolling.outcomes import read_outcomes
from pipeline.settings import load_settings
from serving.export_record import read_record
from serving.versions import published_versions

pytestmark = pytest.mark.slow

SETTINGS = load_settings("rolling")

FIGURES = "next_movie.PrequentialFigures"


def lose_half_of_the_catalogue(span: Path) -> None:
    """Write a span's catalogue, and the manifest that tells its digest, without every other movie."""
    manifest = Manifest.load(span)
    file = span / manifest.catalogue_file
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[::2]), encoding="utf-8")
    assert len(Catalogue.load(file)) == (len(lines) + 1) // 2
    manifest.model_copy(update={"catalogue_sha256": file_sha256(file)}).save(span)


def test_a_broken_span_changes_nothing_that_is_served_and_the_next_good_one_is_learned_from(tmp_path: Path):
    work_dir = tmp_path / "runs"
    serving = work_dir / "serving" / SETTINGS.serving_name

    def next_span(*more: str) -> Ended:
        return run("--config", "rolling", "--work-dir", work_dir, *(more or ["--next-span"]))

    first = next_span()
    assert first.code == 0, first
    assert read_record(serving / "1").training.start == "cold"
    second = next_span()
    assert second.code == 0, second
    assert published_versions(serving) == [1, 2]
    assert read_record(serving / "2").training.start == "warm"

    lose_half_of_the_catalogue(work_dir / "data" / SETTINGS.pipeline_name / "span-3")
    third = next_span()
    assert third.code == 3, third
    assert "its catalogue lacks movies" in third.output
    assert published_versions(serving) == [1, 2]

    fourth = next_span()
    assert fourth.code == 0, fourth
    assert published_versions(serving) == [1, 2, 3]
    again = next_span("--span", "4")
    assert (again.code, published_versions(serving)) == (0, [1, 2, 3])
    assert "nothing to do: span 4" in again.output

    store = open_store(str(work_dir / "pipelines" / SETTINGS.pipeline_name / "metadata.sqlite"))
    outcomes = {span: found.outcome for span, found in read_outcomes(store).items()}
    assert outcomes == {1: "published", 2: "published", 3: "refused", 4: "published"}
    figures = [found.custom_properties["span"].int_value for found in store.get_artifacts_by_type(FIGURES)]
    assert figures == [1, 2, 4]
