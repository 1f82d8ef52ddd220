"""The folder of published versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from data.atomic_folder import exclusive
from serving import versions as publishing
from serving.versions import (
    adopt,
    find_published,
    model_digest,
    publish,
    publish_once,
    published_versions,
    read_publication,
    version_folders,
)

ROOT = Path(__file__).resolve().parents[2]


def make_model(folder: Path, content: str = "weights") -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("graph")
    (folder / "variables" / "data").write_text(content)
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def serving(tmp_path) -> Path:
    return tmp_path / "serving" / "next-movie"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_published_model_holds_all_files_and_says_what_it_is(model, serving):
    assert publish(model, serving, {"pipeline": "p"}, keep=5) == 1
    assert (serving / "1" / "variables" / "data").read_text() == "weights"
    said = read_publication(serving / "1")
    assert datetime.now(timezone.utc) - datetime.fromisoformat(said.pop("published_at")) < timedelta(minutes=1)
    assert said == {"pipeline": "p", "model_digest": model_digest(model), "version": 1}
    assert names(serving) == ["1"]


def test_versions_count_up(model, serving):
    assert [publish(model, serving, {}, keep=20) for _ in range(11)] == list(range(1, 12))
    assert published_versions(serving) == list(range(1, 12))


def test_the_oldest_versions_beyond_those_to_keep_are_removed(model, serving):
    for _ in range(5):
        publish(model, serving, {}, keep=2)
    assert names(serving) == ["4", "5"]


def test_the_next_version_stands_above_all_that_were_ever_there_to_see(model, serving):
    # A folder without a graph is no model, but a server may have seen its number.
    (serving / "7").mkdir(parents=True)
    (serving / "latest").mkdir()
    assert publish(model, serving, {}, keep=1) == 8
    assert published_versions(serving) == [8]


def test_a_missing_serving_folder_holds_no_version(serving):
    assert published_versions(serving) == []
    assert find_published(serving, "digest") is None


def test_the_newest_version_of_a_model_is_found_by_its_content(tmp_path, model, serving):
    other = make_model(tmp_path / "other", "other weights")
    for each in (model, other, model):
        publish(each, serving, {}, keep=5)
    assert find_published(serving, model_digest(model)) == 3
    assert find_published(serving, model_digest(other)) == 2
    assert find_published(serving, "unknown") is None


def test_a_model_that_is_published_is_not_published_once_more(tmp_path, model, serving):
    other = make_model(tmp_path / "other", "other weights")
    assert [publish_once(each, serving, {}, keep=1) for each in (model, model, other, other)] == [1, 1, 2, 2]
    # It was removed meanwhile, as only one is kept.
    assert publish_once(model, serving, {"pipeline": "p"}, keep=1) == 3
    assert names(serving) == ["3"]
    assert read_publication(serving / "3")["pipeline"] == "p"


def test_of_two_processes_that_publish_the_same_model_at_once_one_does(model, serving):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from serving.versions import publish_once\n"
        "model, serving = map(Path, sys.argv[1:])\n"
        "print(publish_once(model, serving, {}, keep=5, note=lambda line: print(line, flush=True)))\n"
    )
    command = [sys.executable, "-c", script, str(model), str(serving)]
    with exclusive(serving, print):
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", cwd=ROOT) for _ in range(2)]
        # Both have come as far as they can before the other publishes.
        waiting = [process.stdout.readline() for process in processes]
    published = [process.communicate(timeout=60)[0] for process in processes]
    assert all("another run is writing" in line for line in waiting)
    assert published == ["1\n", "1\n"]
    assert published_versions(serving) == [1]


def test_a_models_digest_hangs_on_names_and_contents_alone(tmp_path, model):
    same, other_content, other_name = (make_model(tmp_path / name) for name in ("same", "content", "name"))
    (other_content / "variables" / "data").write_text("changed")
    (other_name / "variables" / "data").rename(other_name / "variables" / "index")
    assert model_digest(same) == model_digest(model)
    assert len({model_digest(each) for each in (model, other_content, other_name)}) == 3


def test_a_published_model_keeps_its_digest(model, serving):
    publish(model, serving, {}, keep=5)
    assert model_digest(serving / "1") == model_digest(model)


def test_a_version_is_never_seen_before_it_is_whole(model, serving, monkeypatch):
    seen = []
    copytree = shutil.copytree

    def copy_and_look(*arguments, **options):
        copied = copytree(*arguments, **options)
        seen.append((published_versions(serving), [name for name in names(serving) if not name.startswith(".")]))
        return copied

    monkeypatch.setattr(publishing.shutil, "copytree", copy_and_look)
    publish(model, serving, {}, keep=5)
    assert seen
    assert all(look == ([], []) for look in seen)
    assert published_versions(serving) == [1]


def test_a_failed_publication_leaves_nothing_behind(model, serving, monkeypatch):
    publish(model, serving, {}, keep=5)

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(publishing, "model_digest", fail)
    with pytest.raises(OSError, match="the disk is full"):
        publish(model, serving, {}, keep=1)
    assert names(serving) == ["1"]


def test_what_a_killed_run_left_is_swept_away(model, serving):
    make_model(serving / ".staging-killed")
    publish(model, serving, {}, keep=5)
    assert names(serving) == ["1"]


@pytest.fixture
def former(serving) -> Path:
    return serving.with_name("next-movie-random")


def test_the_folder_of_an_earlier_version_goes_on_under_its_present_name(model, serving, former):
    publish(model, former, {}, keep=5)
    noted: list[str] = []
    adopt(serving, former, noted.append)
    assert published_versions(serving) == [1]
    assert noted == [f"note: going on with the versions in {former}, which is also called next-movie now"]
    # Who reads the folder by its former name gets what is published under the present one, and the other way round.
    assert publish(model, serving, {}, keep=5) == 2
    assert published_versions(former) == published_versions(serving) == [1, 2]
    adopt(serving, former, noted.append)
    assert len(noted) == 1


def test_a_folder_that_goes_on_moves_with_the_folder_around_it(model, serving, former, tmp_path):
    publish(model, former, {}, keep=5)
    adopt(serving, former, lambda _: None)
    moved = serving.parent.rename(tmp_path / "moved")
    assert published_versions(moved / serving.name) == [1]


def test_versions_in_both_folders_stay_and_are_told_of(model, serving, former):
    publish(model, former, {}, keep=5)
    publish(model, serving, {}, keep=5)
    noted: list[str] = []
    adopt(serving, former, noted.append)
    assert not serving.is_symlink()
    assert published_versions(former) == published_versions(serving) == [1]
    assert noted == [
        f"note: {former} holds models that an earlier version published; new ones go to {serving}: "
        "point its readers there, then remove it"
    ]


def test_a_folder_with_two_names_is_listed_once_by_the_present_one(model, serving, former):
    publish(model, former, {}, keep=5)
    publish(model, serving.with_name("another"), {}, keep=5)
    (serving.parent / "empty").mkdir()
    adopt(serving, former, lambda _: None)
    assert version_folders(serving.parent) == [serving.with_name("another"), serving]
    assert version_folders(serving.parent / "missing") == []


def test_a_link_whose_folder_was_removed_by_hand_is_published_to_all_the_same(model, serving, former):
    publish(model, former, {}, keep=5)
    adopt(serving, former, lambda _: None)
    shutil.rmtree(former)
    adopt(serving, former, lambda _: None)
    assert publish(model, serving, {}, keep=5) == 1
    assert published_versions(serving) == published_versions(former) == [1]


def test_a_link_that_lost_its_folder_is_turned_to_another_former_folder(model, serving, former):
    another = former.with_name("next-movie-temporal")
    publish(model, former, {}, keep=5)
    adopt(serving, former, lambda _: None)
    shutil.rmtree(former)
    publish(model, another, {}, keep=5)
    adopt(serving, another, lambda _: None)
    assert serving.samefile(another)


def test_one_folder_under_two_names_has_one_lock(model, serving, former):
    publish(model, former, {}, keep=5)
    adopt(serving, former, lambda _: None)
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with exclusive(former, lambda _: None):
            second = pool.submit(publish, model, serving, {}, 5, lambda _: waiting.set())
            assert waiting.wait(30)
            assert published_versions(former) == [1]
        assert second.result() == 2


def test_without_a_former_folder_nothing_is_done(serving, former):
    adopt(serving, former, pytest.fail)
    assert not serving.exists()
