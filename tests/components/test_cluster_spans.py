"""What the tasks of a cluster find of earlier spans in lasting folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from serving.export_record import RECORD_FILE, ExportRecord
from serving.labels import promote
from serving.training_record import TrainingRecord

pytestmark = pytest.mark.slow


def publish(serving: Path, version: int, span: int | None) -> None:
    """Put a version without a model that learned from spans up to one."""
    training = TrainingRecord(model={}, start="cold", rows_new=1, span=span)
    file = serving / str(version) / RECORD_FILE
    file.parent.mkdir(parents=True)
    file.write_text(ExportRecord(training=training).model_dump_json())
    (serving / str(version) / "saved_model.pb").write_text("")


def before(serving: Path, span: int) -> str | None:
    from components.spans.cluster_history import version_before

    found = version_before(serving, span)
    return found.name if found is not None else None


def test_the_newest_version_is_compared_with_unless_it_has_learned_from_the_span(tmp_path: Path):
    assert before(tmp_path / "none", 1) is None
    for version, span in ((1, 1), (2, 2), (3, 4)):
        publish(tmp_path, version, span)
    assert before(tmp_path, 5) == "3"
    assert before(tmp_path, 4) == "2"
    assert before(tmp_path, 1) is None


def test_the_labelled_version_goes_before_a_newer_one(tmp_path: Path):
    for version, span in ((1, 1), (2, 2)):
        publish(tmp_path, version, span)
    promote(tmp_path, 1, "stable")
    assert before(tmp_path, 3) == "1"


def test_a_served_version_that_names_no_span_is_an_error_and_an_older_one_is_passed_over(tmp_path: Path):
    publish(tmp_path, 1, None)
    with pytest.raises(InputError, match="doesn't say which spans it has learned from") as refusal:
        before(tmp_path, 3)
    assert refusal.value.code == "M34"
    publish(tmp_path, 2, 3)
    assert before(tmp_path, 3) is None


def test_statistics_of_the_last_two_ranges_are_kept_and_written_over_by_a_repeated_run(tmp_path: Path):
    from components.spans.cluster_history import keep_statistics

    for span, content in ((1, "a"), (3, "b"), (10, "c"), (10, "d")):
        (tmp_path / "now").mkdir(exist_ok=True)
        (tmp_path / "now" / "FeatureStats.pb").write_text(content)
        keep_statistics(tmp_path / "now", tmp_path / "kept", span)
    kept = {path.name: (path / "FeatureStats.pb").read_text() for path in (tmp_path / "kept").glob("[!.]*")}
    assert kept == {"span-3": "b", "span-10": "d"}
