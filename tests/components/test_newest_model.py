"""Which published model is asked when none is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from serving.newest_model import newest_model
from serving.versions import publish

NOON = "2026-11-24T12:00:00+00:00"
ONE = "2026-11-24T13:00:00+00:00"


def add(serving: Path, name: str, publication: Any = None, *, file_time: int = 1_000_000) -> Path:
    """Write a version folder with a publication and with the time of its files."""
    folder = serving / name
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("graph")
    if publication is not None:
        content = publication if isinstance(publication, bytes) else json.dumps(publication).encode()
        (folder / "assets.extra" / "publication.json").write_bytes(content)
    set_time(folder, file_time)
    return folder


def set_time(folder: Path, file_time: int) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (file_time, file_time))


def test_the_model_of_the_latest_publication_is_the_newest_whatever_the_times_of_its_files(tmp_path):
    newest = add(tmp_path, "b/1", {"published_at": ONE}, file_time=1)
    add(tmp_path, "a/7", {"published_at": NOON}, file_time=2)
    add(tmp_path, "c/3", {"published_at": NOON}, file_time=3)

    assert newest_model(tmp_path) == newest


def test_dates_are_compared_as_moments_and_not_as_text(tmp_path):
    add(tmp_path, "a/1", {"published_at": "2026-11-24T12:30:00+00:00"})
    newest = add(tmp_path, "b/1", {"published_at": "2026-11-24T09:00:00-04:00"})
    add(tmp_path, "c/1", {"published_at": "2026-11-24T14:00:00+02:00"})

    assert newest_model(tmp_path) == newest


def test_a_copied_restored_or_touched_folder_is_no_newer_than_it_was_published(tmp_path):
    older = add(tmp_path, "a/1", {"published_at": NOON})
    newest = add(tmp_path, "b/1", {"published_at": ONE})
    kept = shutil.copytree(older, tmp_path.with_name("kept"))
    shutil.rmtree(older)

    shutil.copytree(kept, older)
    set_time(older, 2_000_000_000)

    assert newest_model(tmp_path) == newest


def test_what_publish_writes_is_dated(tmp_path):
    add(tmp_path, "foreign/1", None, file_time=2_000_000_000)
    publish(add(tmp_path.with_name("models"), "m"), tmp_path / "ours", {}, keep=5)

    assert newest_model(tmp_path) == tmp_path / "ours" / "1"


@pytest.mark.parametrize(
    "publication",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        {},
        {"published_at": None},
        {"published_at": 1_800_000_000},
        {"published_at": "yesterday"},
        {"published_at": "2030-01-01T00:00:00"},
    ],
)
def test_a_model_without_a_readable_date_is_older_than_any_that_is_dated(tmp_path, publication):
    dated = add(tmp_path, "b/1", {"published_at": NOON}, file_time=1)
    add(tmp_path, "a/1", publication, file_time=2_000_000_000)
    add(tmp_path, "c/1", publication, file_time=2_000_000_000)

    assert newest_model(tmp_path) == dated


@pytest.mark.parametrize("publication", [None, {"published_at": NOON}], ids=["undated", "of the same second"])
def test_between_models_of_no_or_the_same_date_the_time_of_the_graph_file_decides(tmp_path, publication):
    add(tmp_path, "a/1", publication, file_time=2)
    newest = add(tmp_path, "b/1", publication, file_time=3)
    add(tmp_path, "c/1", publication, file_time=1)
    # A file that somebody laid into a folder makes its model no newer.
    (tmp_path / "c" / "1" / "notes.txt").touch()

    assert newest_model(tmp_path) == newest


def test_between_models_that_nothing_tells_apart_the_last_by_name_is_taken(tmp_path):
    for name in ("b/1", "c/1", "a/1"):
        add(tmp_path, name, {"published_at": NOON}, file_time=5)

    assert newest_model(tmp_path) == tmp_path / "c" / "1"


def test_of_one_pipelines_versions_the_highest_is_the_newest_since_it_is_served(tmp_path):
    add(tmp_path, "a/9", {"published_at": ONE})
    add(tmp_path, "a/10", {"published_at": NOON})

    assert newest_model(tmp_path) == tmp_path / "a" / "10"
