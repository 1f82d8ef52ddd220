"""Going back to an earlier model, and what is kept meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from serving.versions import (
    PUBLICATION_FILE,
    model_digest,
    publish,
    publish_once,
    published_versions,
    read_publication,
    roll_back,
)


def make_model(folder: Path, content: str) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("graph")
    (folder / "variables" / "data").write_text(content)
    return folder


@pytest.fixture
def models(tmp_path) -> list[Path]:
    return [make_model(tmp_path / f"model-{number}", f"weights {number}") for number in range(8)]


@pytest.fixture
def serving(tmp_path, models) -> Path:
    """Hold the versions 1 to 3, of as many models."""
    folder = tmp_path / "serving" / "next-movie"
    for number in range(3):
        publish(models[number], folder, {"pipeline": "p", "metrics": {"recall": number}}, keep=5)
    return folder


def test_going_back_publishes_the_earlier_model_as_the_newest_and_removes_nothing(serving, models):
    assert roll_back(serving, 1) == 4
    assert published_versions(serving) == [1, 2, 3, 4]
    assert (serving / "4" / "variables" / "data").read_text() == "weights 0"
    said = read_publication(serving / "4")
    assert said["restored_from"] == 1
    assert said["version"] == 4
    assert said["metrics"] == {"recall": 0}
    assert said["model_digest"] == model_digest(models[0]) == model_digest(serving / "4")


def test_versions_go_on_counting_up_after_going_back(serving, models):
    roll_back(serving, 1)
    assert publish(models[3], serving, {}, keep=5) == 5
    assert "restored_from" not in read_publication(serving / "5")


def test_what_was_gone_back_from_can_be_gone_back_to(serving):
    roll_back(serving, 1)
    assert roll_back(serving, 3) == 5
    assert (serving / "5" / "variables" / "data").read_text() == "weights 2"


def test_a_rerun_of_the_pipeline_does_not_undo_it(serving, models):
    roll_back(serving, 1)
    # The Pusher publishes its model once: it is there already, and that is left at that.
    assert publish_once(models[2], serving, {}, keep=5) == 3
    assert published_versions(serving) == [1, 2, 3, 4]


def test_the_model_that_was_gone_back_to_and_the_newest_blessed_one_are_kept_however_few_are_to_be(serving, models):
    roll_back(serving, 1)
    roll_back(serving, 2)
    for number in (3, 4):
        publish(models[number], serving, {}, keep=1)
    # 5 is the copy of 2, 7 the newest.
    assert published_versions(serving) == [5, 7]
    roll_back(serving, 5)
    publish(models[5], serving, {}, keep=1)
    # Now 8 is what was gone back to, and 9 the newest.
    assert published_versions(serving) == [8, 9]


def test_the_newest_blessed_one_is_kept_behind_later_rollbacks(serving, models):
    publish(models[3], serving, {}, keep=5)
    for version in (1, 2, 3, 1):
        roll_back(serving, version)
    publish(models[4], serving, {}, keep=2)
    assert published_versions(serving) == [8, 9]
    roll_back(serving, 8)
    roll_back(serving, 8)
    assert published_versions(serving) == [8, 9, 10, 11]


@pytest.mark.parametrize(
    ("version", "said"),
    [(7, "holds no version 7: it holds 1, 2, 3"), (0, "holds no version 0"), (3, "is the newest, and served already")],
)
def test_what_can_not_be_gone_back_to_is_refused(serving, version, said):
    with pytest.raises(InputError, match=said):
        roll_back(serving, version)
    assert published_versions(serving) == [1, 2, 3]


@pytest.mark.parametrize("file", ["variables/data", "saved_model.pb", PUBLICATION_FILE])
def test_a_model_that_is_not_as_it_was_published_is_not_gone_back_to(serving, file):
    (serving / "1" / file).write_text("damaged")
    with pytest.raises(InputError, match="is not as it was published"):
        roll_back(serving, 1)
    assert published_versions(serving) == [1, 2, 3]


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_publication_says_nothing_and_keeps_no_other_from_being_published(serving, models, said):
    (serving / "1" / PUBLICATION_FILE).write_bytes(said)
    assert read_publication(serving / "1") == {}
    assert publish(models[4], serving, {}, keep=9) == 4
