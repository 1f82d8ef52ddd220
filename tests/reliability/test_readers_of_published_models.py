"""A reader that polls the folder of versions while a thousand models are published into it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving import versions as publishing
from serving.versions import GRAPH_FILE, model_digest, publish, published_versions, roll_back

PUBLISHED = 1000
KEPT = 3

READER = Path(__file__).with_name("polling_reader.py")


def make_model(folder: Path, number: int) -> Path:
    """Write a model of five files whose contents belong together."""
    content = hashlib.shake_256(str(number).encode()).digest(2000)
    for name in (
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data",
        "assets/v",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() + content)
    return folder


@pytest.mark.parametrize("store", ["disk", "object store"])
def test_a_reader_that_polls_while_a_thousand_models_are_published_never_sees_half_of_one(tmp_path, monkeypatch, store):
    if store == "object store":
        monkeypatch.setattr(publishing, "in_object_store", lambda _: True)
    # Publishing a thousand models asks nothing of the disk's own sureness.
    monkeypatch.setattr(publishing.os, "fsync", lambda _: None)
    models = [make_model(tmp_path / "models" / str(number), number) for number in range(20)]
    serving = tmp_path / "serving"
    publish(models[0], serving, {}, keep=KEPT)
    stop = tmp_path / "stop"
    reader = subprocess.Popen(
        [sys.executable, str(READER), str(serving), str(stop)], stdout=subprocess.PIPE, encoding="utf-8"
    )
    for number in range(1, PUBLISHED):
        publish(models[number % len(models)], serving, {}, keep=KEPT)
        if number % 100 == 50:
            roll_back(serving, published_versions(serving)[0])
    time.sleep(0.2)
    stop.touch()
    seen = json.loads(reader.communicate(timeout=60)[0])

    assert seen["halves"] == []
    # It looked at many of them, and each time at one that was no older than the last.
    assert seen["whole"] > PUBLISHED / 5
    assert seen["versions"] == sorted(seen["versions"])
    assert len(set(seen["versions"])) > 50
    newest = PUBLISHED + 10
    assert published_versions(serving)[-1] == newest
    assert len(published_versions(serving)) <= KEPT + 2
    assert model_digest(serving / str(newest)) == model_digest(models[(PUBLISHED - 1) % len(models)])


def test_in_an_object_store_the_graph_is_written_last_and_removed_first(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "in_object_store", lambda _: True)
    serving = tmp_path / "serving"
    changes = []
    rename, unlink, rmtree = Path.rename, Path.unlink, publishing.shutil.rmtree

    def watched_rename(path, target):
        changes.append(("renamed to", target.name, _names(target.parent) - {path.name}))
        return rename(path, target)

    def watched_unlink(path):
        changes.append(("removed", path.name))
        unlink(path)

    def watched_rmtree(folder, **options):
        changes.append(("removed the rest", GRAPH_FILE not in _names(folder)))
        rmtree(folder, **options)

    monkeypatch.setattr(Path, "rename", watched_rename)
    monkeypatch.setattr(Path, "unlink", watched_unlink)
    monkeypatch.setattr(publishing.shutil, "rmtree", watched_rmtree)
    for number in range(2):
        publish(make_model(tmp_path / str(number), number), serving, {}, keep=1)

    rest = {"fingerprint.pb", "variables", "assets", "assets.extra"}
    assert changes == [
        ("renamed to", GRAPH_FILE, rest),
        ("renamed to", GRAPH_FILE, rest),
        ("removed", GRAPH_FILE),
        ("removed the rest", True),
    ]


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_what_was_left_half_written_in_an_object_store_goes_once_a_higher_version_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "in_object_store", lambda _: True)
    serving = tmp_path / "serving"
    publish(make_model(tmp_path / "one", 1), serving, {}, keep=2)
    (make_model(serving / "2", 2) / GRAPH_FILE).unlink()
    assert published_versions(serving) == [1]
    assert publish(make_model(tmp_path / "two", 2), serving, {}, keep=2) == 3
    assert _names(serving) == {"1", "3"}


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        ("/gcs/bucket/lasting/serving/x", True),
        ("/s3/bucket/x", True),
        ("/minio/bucket/x", True),
        ("/mnt/next-movie/serving", False),
        ("runs/gcs/x", False),
        ("gcs/x", False),
        ("/", False),
    ],
)
def test_object_stores_are_known_by_where_they_are_mounted(serving, expected):
    assert publishing.in_object_store(Path(serving)) is expected
