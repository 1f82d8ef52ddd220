"""The page over all runs: what each came to, and what changed since the one before."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from report_models import SCRIPT_TITLE, full_facts

from components.report.report_model import Failure, ReportModel, StepFacts
from pipeline.runs.index import RunEntry, keep_report, write_index

BEGAN = datetime(2026, 11, 27, 9, 30, tzinfo=timezone.utc)


def facts_of(run: int, **changes: object) -> ReportModel:
    settings = {"training": {"epochs": 3}, "data": {"seed": 1}}
    return full_facts(
        **{"pipeline": "sample", "made_at": BEGAN + timedelta(hours=run), "settings": settings, **changes}
    )


def cells(page: str) -> list[list[str]]:
    """Return the rows of a page's tables, as people read them."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "runs" / "pipelines" / "sample"
    made.mkdir(parents=True)
    return made


def test_runs_are_listed_newest_first_with_what_changed(folder: Path):
    first = facts_of(0)
    keep_report(folder, "2026-11-27T09:30:00.1", "<p>first</p>", first)
    other = first.data.model_copy(update={"manifest_digest": "other"}) if first.data else None
    changed = {"training": {"epochs": 5}, "data": {"seed": 1}}
    keep_report(folder, "2026-11-27T10:30:00.1", "<p>second</p>", facts_of(1, settings=changed, data=other))
    keep_report(folder, "2026-11-27T11:30:00.1", "<p>third</p>", facts_of(2, settings=changed, data=other))

    page = write_index(folder.parent)

    assert page == folder.parent.parent / "index.html"
    _, third, second, oldest = cells(page.read_text(encoding="utf-8"))
    assert (oldest[0], oldest[-1]) == ("2026-11-27 09:30 UTC", "first run")
    assert second[-1] == "data, training.epochs"
    assert third[-1] == "nothing"
    assert re.fullmatch(r"0\.\d{4}", third[2])
    links = re.findall(r'href="(pipelines/[^"]+)"', page.read_text(encoding="utf-8"))
    assert [(page.parent / link).read_text() for link in links] == ["<p>third</p>", "<p>second</p>", "<p>first</p>"]


def test_a_failed_run_keeps_its_page_and_hides_no_other(folder: Path):
    keep_report(folder, "1", "<p>good</p>", facts_of(0))
    keep_report(folder, "2", "<p>bad</p>", facts_of(1, failure=Failure(step="Trainer", error="no memory"), metrics=[]))
    _, failed, good = cells(write_index(folder.parent).read_text(encoding="utf-8"))
    assert (failed[1], failed[2]) == ("failed", "")
    assert good[1] == "not blessed"
    assert (folder / "reports" / "1.html").read_text() == "<p>good</p>"


def test_a_run_that_took_all_from_the_cache_is_said_to_be_cached(folder: Path):
    steps = [
        StepFacts(name="Trainer", state="cached", seconds=0),
        StepFacts(name="LatestBlessedModel", state="done", seconds=9),
    ]
    keep_report(folder, "1", "", facts_of(0, steps=steps))
    keep_report(folder, "2", "", facts_of(1, steps=[steps[0].model_copy(update={"state": "done"}), steps[1]]))
    _, worked, cached = cells(write_index(folder.parent).read_text(encoding="utf-8"))
    assert cached[3] == "cached"
    assert worked[3] != "cached"


def test_of_many_changed_settings_a_few_are_named():
    common = {"pipeline": "p", "run": "1", "began": BEGAN, "verdict": "published", "tone": "good"}
    before = RunEntry(**common, code="1", settings={f"model.{place}": 0 for place in range(9)})
    after = RunEntry(**common, code="2", settings={f"model.{place}": 1 for place in range(9)})
    named = [f"model.{place}" for place in range(6)]
    assert after.changes_since(before) == ["code", *named, "3 more settings"]


def test_other_versions_of_libraries_are_a_change_where_both_runs_name_them():
    common = {"pipeline": "p", "run": "1", "began": BEGAN, "verdict": "published", "tone": "good"}
    older, old, new = (RunEntry(**common, libraries=named) for named in ({}, {"tfx": "1.15.0"}, {"tfx": "1.16.0"}))
    assert new.changes_since(old) == ["libraries"]
    assert new.changes_since(older) == []


def test_a_damaged_entry_is_left_out_and_names_run_nothing(folder: Path):
    keep_report(folder, "1", "", facts_of(0))
    (folder / "reports" / "2.json").write_text("{")
    hostile = folder.with_name("<script>window.owned = 1<!--")
    hostile.mkdir()
    keep_report(hostile, "3", "", facts_of(1, pipeline=SCRIPT_TITLE))
    page = write_index(folder.parent).read_text(encoding="utf-8")
    assert len(cells(page)) == 4
    assert "<script" not in page
