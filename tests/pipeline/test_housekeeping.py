"""Old runs that are deleted: a real store of ML Metadata, folders as TFX names them, and days that pass cheaply."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from recorded_days import Home

import history
from pipeline.deleted_artifacts import mark_deleted
from pipeline.housekeeping import removal
from pipeline.housekeeping.deletion import delete, plan_deletion
from pipeline.housekeeping.run_graph import read_run_graph
from pipeline.metadata_store import open_store

Artifact = metadata_store_pb2.Artifact


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "runs")


def test_after_a_hundred_days_the_disk_holds_as_much_as_after_ten(home):
    sizes = []
    for day in range(1, 101):
        home.add_day()
        if day % 10 == 0:
            home.collect()
            sizes.append(removal.size([home.folder / "artifacts", home.folder / "reports"]))
    assert sizes == [sizes[0]] * 10
    assert sorted(path.name for path in (home.folder / "reports").iterdir()) == [
        "day-100.html",
        "day-98.html",
        "day-99.html",
    ]


def test_what_is_gone_is_deleted_in_the_metadata_and_its_lineage_can_still_be_followed(home):
    first = home.add_day()
    for _ in range(4):
        home.add_day()
    home.collect()
    graph = read_run_graph(home.metadata)
    assert graph.artifacts[first].state == Artifact.DELETED
    assert [graph.kinds[artifact] for artifact in sorted(graph.upstream([first]))] == ["Examples", "Model"]
    assert [run.deleted for run in graph.runs] == [True, True, False, False, False]
    # Those that stay have no manifest here, and count as deleted to a run.
    assert set(mark_deleted(home.metadata)) == {"ExampleGen"}


@pytest.mark.parametrize("steps", range(6))
def test_a_deletion_that_is_killed_is_finished_by_the_next_and_leaves_nothing_half_that_counts(
    home, steps, tmp_path, monkeypatch
):
    for _ in range(5):
        home.add_day()
    left = iter(range(steps))
    whole = shutil.rmtree

    def killed_at_the_next(folder: Path) -> None:
        if next(left, None) is None:
            next(path for path in Path(folder).rglob("*") if path.is_file()).unlink()
            raise KeyboardInterrupt
        whole(folder)

    with monkeypatch.context() as patched:
        patched.setattr(removal.shutil, "rmtree", killed_at_the_next)
        with pytest.raises(KeyboardInterrupt):
            home.collect()
    mark_deleted(home.metadata)
    store = open_store(str(home.metadata), read_only=True)
    for artifact in store.get_artifacts():
        if artifact.state == Artifact.LIVE and artifact.type_id == home.types["Model"]:
            assert {path.name for path in Path(artifact.uri).rglob("*.*")} == {"saved_model.pb", "variables.index"}
    home.collect()
    other = Home(tmp_path / "other")
    for _ in range(5):
        other.add_day()
    other.collect()
    assert home.files() == other.files()


def test_links_are_neither_followed_nor_removed(home, tmp_path):
    model = home.add_day()
    for _ in range(3):
        home.add_day()
    folder = read_run_graph(home.metadata).folder(model)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    home.collect()
    assert folder.is_symlink()
    assert (elsewhere / "Format-Serving" / "saved_model.pb").is_file()


def test_what_metadata_do_not_name_is_left_alone(home):
    own = home.folder / "artifacts" / "Trainer" / "model" / "notes.txt"
    for _ in range(4):
        home.add_day()
    own.write_text("mine")
    home.collect()
    assert own.read_text() == "mine"


def test_young_runs_stay_beyond_the_number_that_is_kept(home):
    for _ in range(4):
        home.add_day()
    before = home.files()
    delete(plan_deletion(home.metadata, keep_runs=1, older_than=timedelta(days=1), now=datetime.now(timezone.utc)))
    assert home.files() == before


def test_a_plan_alone_changes_nothing(home, capsys):
    for _ in range(4):
        home.add_day()
    before, metadata = home.files(), home.metadata.read_bytes()
    work_dir = home.folder.parents[1]
    assert history.main(["gc", "--dry-run", "--keep-runs", "1", "--work-dir", str(work_dir)]) == 0
    assert "3 runs would be deleted" in capsys.readouterr().out
    assert (home.files(), home.metadata.read_bytes()) == (before, metadata)
    assert history.main(["gc", "--keep-runs", "1", "--work-dir", str(work_dir)]) == 0
    assert "3 runs deleted" in capsys.readouterr().out
    assert history.main(["list", "--work-dir", str(work_dir)]) == 0
    assert "deleted: 3 runs" in capsys.readouterr().out
    assert history.main(["gc", "--keep-runs", "1", "--work-dir", str(work_dir)]) == 0
    assert "nothing to delete; 1 run stays" in capsys.readouterr().out
