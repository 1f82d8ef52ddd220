"""What became of spans is kept a file a span, and decides which span comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.spans.choosing import choose_span
from components.spans.ledger import SpanRecord, accepted, decided, keep_progress, keep_record, read_ledger
from data.errors import InputError
from data.examples.manifest import Manifest
from data.options import GenerateOptions
from data.spans.series import list_spans, span_folder
from data.spans.writing import write_spans


def record(outcome: str, digest: str = "a", **more: Any) -> SpanRecord:
    return SpanRecord(outcome=outcome, manifest_digest=digest, **more)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample's spans by years."""
    folder = tmp_path_factory.mktemp("spans") / "series"
    write_spans(GenerateOptions(release="sample"), folder, by="year")
    return folder


def test_a_record_takes_the_place_of_the_earlier_one_and_is_read_as_it_was_kept(tmp_path: Path):
    assert read_ledger(tmp_path / "none yet") == {}
    keep_record(tmp_path / "l", 2, record("begun"))
    keep_progress(tmp_path / "l", 2, outcome="refused", reason="half of it is gone")
    keep_record(tmp_path / "l", 11, record("judged", figures={"recall_at_10": 0.25}))
    (tmp_path / "l" / "notes.txt").write_text("mine")
    assert read_ledger(tmp_path / "l") == {
        2: record("refused", reason="half of it is gone"),
        11: record("judged", figures={"recall_at_10": 0.25}),
    }


def test_a_damaged_record_is_told_of_by_its_file(tmp_path: Path):
    (tmp_path / "span-3.json").write_text("{")
    with pytest.raises(InputError, match=r"span-3\.json is no record of a span") as refusal:
        read_ledger(tmp_path)
    assert refusal.value.code == "M35"


def test_spans_that_were_begun_or_accepted_alone_are_not_decided_about():
    outcomes = ["begun", "accepted", "refused", "judged", "published"]
    records = {span: record(outcome) for span, outcome in enumerate(outcomes, start=1)}
    assert list(decided(records)) == [3, 4, 5]


def test_the_last_accepted_spans_are_named_newest_first_without_those_refused():
    outcomes = ["published", "refused", "judged", "published", "accepted", "begun"]
    records = {span: record(outcome) for span, outcome in enumerate(outcomes, start=1)}
    assert accepted(records, before=7, most=9) == [5, 4, 3, 1]
    assert accepted(records, before=5, most=2) == [4, 3]
    assert accepted(records, before=1, most=2) == []


def choose(series: Path, outcomes: dict[int, SpanRecord], number: int | None = None) -> tuple[int | None, list[str]]:
    lines: list[str] = []
    return choose_span(series, outcomes, number, lines.append), lines


def test_the_first_span_behind_those_decided_about_comes_next(series: Path):
    assert choose(series, {}) == (1, [])
    assert choose(series, {1: record("published"), 2: record("refused")}) == (3, [])
    assert choose(series, {1: record("published"), 2: record("refused")}, 2) == (2, [])


def test_nothing_new_and_a_published_span_again_are_said_and_no_error(series: Path, tmp_path: Path):
    newest = list_spans(series)[-1]
    assert choose(series, {newest: record("judged")}) == (None, [f"nothing to do: span {newest} is the newest"])
    assert choose(tmp_path / "none", {}) == (None, ["nothing to do: there are no spans yet"])
    published = record("published", Manifest.load(span_folder(series, 2)).digest)
    assert choose(series, {2: published}, 2) == (
        None,
        ["nothing to do: span 2 was learned from and its model published"],
    )
    # Written anew since, its content is another.
    assert choose(series, {2: record("published", "of another content")}, 2) == (2, [])


@pytest.mark.parametrize(("number", "code"), [(999, "A12"), (1, "A13")])
def test_a_span_that_is_not_there_or_out_of_turn_is_refused(series: Path, number: int, code: str):
    with pytest.raises(InputError) as refusal:
        choose(series, {2: record("judged")}, number)
    assert refusal.value.code == code
