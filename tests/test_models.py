"""The command that lists, shows and rolls back published models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import models
from serving.labels import labels_of
from serving.model_config import CONFIG_FILE
from serving.signing import verify_version
from serving.versions import PUBLICATION_FILE, publish, published_versions

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "serving"))

from signed_versions import publish_signed, write_keys  # noqa: E402

NAME = "next-movie-default-sample"


def publish_model(root: Path, serving: Path, number: int) -> None:
    model = root / f"model-{serving.name}-{number}"
    model.mkdir()
    (model / "saved_model.pb").write_text(f"graph {number}")
    publication = {
        "pipeline": serving.name,
        "manifest_digest": f"{number}da7a" * 10,
        "source_digest": f"{number}c0de" * 10,
        "code_version": f"0.{number}.0",
        "commit": f"{number}c0ffee12345",
        "metrics": {"recall_at_10": 0.4 + number / 100, "mrr": 0.2},
        "settings": {"name": "default", "training": {"epochs": number}},
    }
    publish(model, serving, publication, keep=5)


@pytest.fixture
def serving(tmp_path) -> Path:
    """Hold two versions of a pipeline."""
    for number in (1, 2):
        publish_model(tmp_path, tmp_path / "serving" / NAME, number)
    return tmp_path / "serving"


@pytest.fixture
def two_pipelines(tmp_path, serving) -> Path:
    publish_model(tmp_path, serving / "other", 1)
    return serving


def ask(capsys, *arguments: object) -> str:
    assert models.main([str(argument) for argument in arguments]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def assert_refused(capsys, *arguments: object, said: str) -> None:
    assert models.main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("error: ")
    assert said in captured.err


def test_each_version_is_listed_with_its_lineage(serving, capsys):
    head, titles, first, second = ask(capsys, "list", "--serving", serving).splitlines()
    assert head == NAME
    assert titles.split() == ["version", "published", "model", "data", "source", "recall@10"]
    assert first.split()[0] == "1"
    assert first.split()[3:] == ["1da7a1da7a1d", "1c0de1c0de1c", "0.4100"]
    assert second.split()[3:] == ["2da7a2da7a2d", "2c0de2c0de2c", "0.4200", "served"]


def test_a_pipelines_own_folder_may_be_named(serving, capsys):
    assert ask(capsys, "list", "--serving", serving / NAME) == ask(capsys, "list", "--serving", serving)


def test_all_pipelines_are_listed_and_one_may_be_picked(two_pipelines, capsys):
    lines = ask(capsys, "list", "--serving", two_pipelines).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [NAME, "other"]
    assert NAME not in ask(capsys, "list", "--serving", two_pipelines, "--pipeline", "other")


def test_a_version_is_shown_whole(serving, capsys):
    said = ask(capsys, "show", "--serving", serving)
    assert said.startswith(f"version 2 of {NAME}, served\n")
    assert f"  data digest    {'2da7a' * 10}\n" in said
    assert f"  source digest  {'2c0de' * 10}\n" in said
    assert "  code version   0.2.0\n  commit         2c0ffee12345\n" in said
    assert "    recall_at_10: 0.42\n" in said
    assert "    training:\n      epochs: 2\n" in said
    earlier = ask(capsys, "show", "1", "--serving", serving)
    assert earlier.startswith(f"version 1 of {NAME}\n")


def test_json_is_what_the_version_says(serving, capsys):
    said = json.loads(ask(capsys, "show", "1", "--serving", serving, "--json"))
    assert said == json.loads((serving / NAME / "1" / PUBLICATION_FILE).read_text())
    listed = json.loads(ask(capsys, "list", "--serving", serving, "--json"))
    assert [version["version"] for version in listed[NAME]] == [1, 2]


def test_rolling_back_is_told_and_shown(serving, capsys):
    said = ask(capsys, "rollback", "1", "--serving", serving)
    assert said == f"version 3 of {NAME} is served now: it is version 1 again\n"
    last = ask(capsys, "list", "--serving", serving).splitlines()[-1]
    assert last.endswith("served, restored from 1")
    assert "  restored from  1\n" in ask(capsys, "show", "--serving", serving)


def test_a_version_that_says_nothing_is_listed_as_unknown(serving, capsys):
    (serving / NAME / "1" / PUBLICATION_FILE).unlink()
    (serving / NAME / "2" / PUBLICATION_FILE).write_text('{"metrics": 3, "model_digest": 7}')
    lines = ask(capsys, "list", "--serving", serving).splitlines()
    assert lines[2].split() == ["1", *["unknown"] * 5]
    assert lines[3].split() == ["2", "unknown", "7", "unknown", "unknown", "unknown", "served"]
    assert "  commit         unknown\n" in ask(capsys, "show", "1", "--serving", serving)


def test_what_can_not_be_used_is_refused_in_one_line(two_pipelines, capsys, tmp_path):
    where = ("--serving", two_pipelines)
    assert_refused(capsys, "list", "--serving", tmp_path / "nowhere", said="no model is published in")
    assert_refused(capsys, "list", *where, "--pipeline", "thrid", said=f"it holds {NAME}, other")
    assert_refused(capsys, "show", *where, said=f"say which with --pipeline: {NAME}, other")
    assert_refused(capsys, "rollback", 1, *where, said=f"say which with --pipeline: {NAME}, other")
    assert_refused(capsys, "show", 9, *where, "--pipeline", NAME, said="holds no version 9: it holds 1, 2")
    assert_refused(capsys, "rollback", 2, *where, "--pipeline", NAME, said="is the newest, and served already")


def test_a_disk_that_can_not_be_written_is_one_line_and_nothing_changes(serving, capsys, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(serving))

    monkeypatch.setattr(shutil, "copytree", fail)
    assert_refused(
        capsys, "rollback", 1, "--serving", serving, said=f"no space left on the disk of {serving.resolve()}"
    )
    assert published_versions(serving / NAME) == [1, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["lsit"],
        ["rollback"],
        ["rollback", "one"],
        ["show", "--jason"],
        ["demote"],
        ["promote", "1", "--label", "new"],
    ],
)
def test_a_bad_argument_ends_with_code_2(arguments):
    with pytest.raises(SystemExit) as ended:
        models.parse_arguments(arguments)
    assert ended.value.code == 2


def test_it_answers_at_once_because_it_loads_no_tensorflow(serving):
    started = time.monotonic()
    command = [sys.executable, "-X", "importtime", str(ROOT / "models.py"), "list", "--serving", str(serving)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert time.monotonic() - started < 5
    for library in ("tensorflow", "tfx", "apache_beam", "numpy"):
        assert f" {library}\n" not in done.stderr


@pytest.fixture
def keys(tmp_path) -> tuple[Path, Path]:
    return write_keys(tmp_path / "keys")


@pytest.fixture
def signed(tmp_path, keys) -> Path:
    """Hold two signed versions of a pipeline."""
    for number in (1, 2):
        publish_signed(tmp_path / f"signed-{number}", tmp_path / "signed" / NAME, keys[0], f"weights {number}")
    return tmp_path / "signed"


def test_a_label_is_given_moved_shown_and_taken_away(serving, capsys):
    where = ("--serving", serving)
    assert ask(capsys, "promote", 1, *where) == f"version 1 of {NAME} is stable now\n"
    assert ask(capsys, "promote", 2, "--label", "canary", *where) == f"version 2 of {NAME} is canary now\n"
    lines = ask(capsys, "list", *where).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[2:]] == ["stable", "served, canary"]
    assert "  labels         stable\n" in ask(capsys, "show", 1, *where)
    assert json.loads(ask(capsys, "show", 1, *where, "--json"))["labels"] == ["stable"]
    listed = json.loads(ask(capsys, "list", *where, "--json"))[NAME]
    assert [version["labels"] for version in listed] == [["stable"], ["canary"]]

    assert ask(capsys, "promote", 2, *where) == f"version 2 of {NAME} is stable now, which version 1 was\n"
    assert ask(capsys, "demote", "--label", "canary", *where) == f"version 2 of {NAME} is no longer canary\n"
    assert "labels" not in ask(capsys, "show", 1, *where)
    assert labels_of(serving / NAME) == {"stable": 2}


def test_labels_that_can_not_be_given_are_refused_in_one_line(two_pipelines, capsys):
    where = ("--serving", two_pipelines, "--pipeline", NAME)
    assert_refused(capsys, "promote", 9, *where, said="holds no version 9: it holds 1, 2 [M03]")
    assert_refused(capsys, "demote", "--label", "stable", *where, said="bears the label 'stable' [M27]")
    assert_refused(capsys, "promote", 1, "--serving", two_pipelines, said="say which with --pipeline")
    (two_pipelines / NAME / CONFIG_FILE).write_text("labels: stable")
    assert_refused(capsys, "list", *where, said="is no ModelServerConfig as text")


def test_the_servers_path_of_the_folder_is_a_full_one(serving, capsys):
    ask(capsys, "promote", 1, "--serving", serving, "--base-path", "/models/next-movie")
    assert 'base_path: "/models/next-movie"' in (serving / NAME / CONFIG_FILE).read_text()
    with pytest.raises(SystemExit):
        models.parse_arguments(["promote", "1", "--base-path", "models"])
    assert "TensorFlow Serving takes a full path or a URI" in capsys.readouterr().err


def test_a_version_is_verified_by_its_digest_and_with_a_key_by_its_signature(signed, serving, keys, capsys):
    as_published = f"of {NAME} is as it was published"
    assert ask(capsys, "verify", "--serving", serving) == f"version 2 {as_published}; not signed\n"
    assert ask(capsys, "verify", 1, "--serving", signed) == (
        f"version 1 {as_published}; its signature was not looked at: give --public-key\n"
    )
    by_key = ("--public-key", keys[1])
    assert ask(capsys, "verify", "--serving", signed, *by_key) == f"version 2 {as_published}; signed with {keys[1]}\n"
    assert_refused(capsys, "verify", "--serving", serving, *by_key, said="[M20]")
    (signed / NAME / "2" / "saved_model.pb").write_text("another")
    assert_refused(capsys, "verify", "--serving", signed, said="its digest is another one [M08]")
    assert_refused(capsys, "verify", "--serving", signed, *by_key, said="'saved_model.pb' was changed [M22]")


def test_a_signed_version_is_rolled_back_to_with_a_key_alone(signed, keys, capsys):
    where = ("--serving", signed)
    assert_refused(capsys, "rollback", 1, *where, said="give --private-key [M26]")
    assert_refused(capsys, "rollback", 1, *where, "--public-key", keys[1], said="give --private-key [M26]")
    said = ask(capsys, "rollback", 1, *where, "--private-key", keys[0])
    assert said == f"version 3 of {NAME} is served now: it is version 1 again\n"
    verify_version(signed / NAME / "3", keys[1])
