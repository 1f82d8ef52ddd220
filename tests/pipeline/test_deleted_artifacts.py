"""Artifacts without files, as ML Metadata is told of them: a real store, and folders as TFX names them."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2

from pipeline.deleted_artifacts import mark_deleted
from pipeline.metadata_store import open_store

Artifact = metadata_store_pb2.Artifact


class Home:
    """A pipeline's folder with its metadata."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.folder = work_dir / "pipelines" / "mine"
        self.folder.mkdir(parents=True)
        self.metadata = self.folder / "metadata.sqlite"

    def add(self, node: str, kind: str, *files: str, state: int = Artifact.LIVE, **properties: str) -> Path:
        """Record an artifact with the given files; return its folder."""
        store = open_store(str(self.metadata))
        known = metadata_store_pb2.ArtifactType(name=kind, properties={"split_names": metadata_store_pb2.STRING})
        type_id = store.put_artifact_type(known, can_add_fields=True)
        folder = self.folder / "artifacts" / node / "output" / str(len(store.get_artifacts()) + 1)
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        artifact = Artifact(uri=str(folder), type_id=type_id, state=state)
        for name, value in properties.items():
            holder = artifact.properties if name == "split_names" else artifact.custom_properties
            holder[name].string_value = value
        store.put_artifacts([artifact])
        return folder

    def states(self) -> list[int]:
        return [artifact.state for artifact in open_store(str(self.metadata), read_only=True).get_artifacts()]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "runs")


def test_what_has_its_files_stays_as_it_is_and_nothing_is_written(home):
    home.add("Trainer", "Model", "Format-Serving/saved_model.pb", "Format-Serving/variables/variables.index")
    home.add("StatisticsGen", "ExampleStatistics", "Split-train/FeatureStats.pb", split_names='["train"]')
    home.add("Pusher", "PushedModel")
    before = home.metadata.read_bytes()
    assert mark_deleted(home.metadata) == Counter()
    assert home.metadata.read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "left", "properties"),
    [
        ("ModelRun", [], {}),
        ("Model", ["Format-Serving/saved_model.pb"], {}),
        ("Model", ["Format-Serving/variables/variables.index"], {}),
        ("ExampleStatistics", ["Split-train/FeatureStats.pb"], {"split_names": '["train", "eval"]'}),
        ("Examples", ["Split-train/data_tfrecord-0"], {"split_names": '["train"]'}),
        ("PushedModel", [], {"pushed_destination": "/nowhere/serving/mine/1"}),
    ],
)
def test_what_lacks_files_that_it_can_not_be_without_is_deleted(home, kind, left, properties):
    home.add("Step", kind, *left, **properties)
    assert mark_deleted(home.metadata) == Counter({"Step": 1})
    assert home.states() == [Artifact.DELETED]
    assert mark_deleted(home.metadata) == Counter()


def test_what_comes_back_is_live_again(home):
    folder = home.add("Transform", "TransformGraph", "transform_fn/saved_model.pb")
    away = folder.with_name("away")
    folder.rename(away)
    mark_deleted(home.metadata)
    away.rename(folder)
    mark_deleted(home.metadata)
    assert home.states() == [Artifact.LIVE]


def test_what_was_never_finished_is_left_alone(home):
    shutil.rmtree(home.add("Trainer", "Model", state=Artifact.PENDING))
    mark_deleted(home.metadata)
    assert home.states() == [Artifact.PENDING]


def test_a_version_that_newer_ones_followed_is_deleted_without_a_word(home):
    serving = home.work_dir / "serving" / "mine"
    (serving / "2").mkdir(parents=True)
    (serving / "2" / "saved_model.pb").touch()
    home.add("Pusher", "PushedModel", pushed_destination=str(serving / "1"))
    assert mark_deleted(home.metadata) == Counter()
    assert home.states() == [Artifact.DELETED]
