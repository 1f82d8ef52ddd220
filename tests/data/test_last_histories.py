"""The file of users' last histories, beside a plain second reading of the same ratings."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.examples.last_histories import LAST_HISTORIES_FILE, merge_last_histories
from data.examples.manifest import Manifest
from data.generate import generate
from data.options import GenerateOptions


def write_events(path: Path, users: list[object]) -> Path:
    rows = [f"{user},{item},{10**9 + 60 * item}" for user in users for item in range(1, 8)]
    path.write_text("\n".join(["user,item,time", *rows, ""]), encoding="utf-8")
    return path


def read(folder: Path) -> dict[object, list[object]]:
    return {row["id"]: row["history"] for row in pq.read_table(folder / LAST_HISTORIES_FILE).to_pylist()}


def test_every_user_of_the_examples_has_the_last_movies_of_the_timeline(tmp_path):
    events = tmp_path / "events.csv"
    lengths = {1: 2, 2: 3, 3: 5, 40: 9}
    events.write_text(
        "user,item,time\n" + "".join(f"{user},{i},{i * 60}\n" for user, n in lengths.items() for i in range(1, n + 1))
    )
    options = GenerateOptions(name="shop", shards=1, split="leave_one_out")
    manifest = generate(options, tmp_path / "made", interactions=str(events), last_histories=4)

    timelines = defaultdict(list)
    for row in csv.DictReader(events.open()):
        timelines[int(row["user"])].append(int(row["item"]))
    # The first user's timeline is too short for any example.
    expected = {user: items[-4:] for user, items in timelines.items() if len(items) >= 3}
    assert read(tmp_path / "made") == expected
    assert (manifest.last_histories.users, manifest.last_histories.length) == (3, 4)


@pytest.mark.parametrize(
    ("users", "ids"),
    [([1, 2**40], [1, 2**40]), (["anna", 7], ["anna", "7"]), (["007", "b c"], ["007", "b c"])],
    ids=["integers", "texts and an integer", "texts"],
)
def test_users_of_own_data_are_called_as_the_files_call_them(tmp_path, users, ids):
    events = write_events(tmp_path / "events.csv", users)
    generate(GenerateOptions(name="shop"), tmp_path / "made", interactions=str(events), last_histories=4)
    assert sorted(map(str, read(tmp_path / "made"))) == sorted(map(str, ids))
    assert {type(user) for user in read(tmp_path / "made")} == {type(ids[0])}


def test_the_setting_adds_a_file_and_changes_no_other(tmp_path):
    options = GenerateOptions(release="sample")
    plain, more = generate(options, tmp_path / "plain"), generate(options, tmp_path / "more", last_histories=3)
    assert "last_histories" not in (tmp_path / "plain" / "manifest.json").read_text()
    assert {path.name for path in (tmp_path / "more").iterdir()} - {
        path.name for path in (tmp_path / "plain").iterdir()
    } == {LAST_HISTORIES_FILE}
    assert more.digest != plain.digest
    assert more.model_copy(update={"last_histories": None}) == plain
    # Asked for without it, the folder is what it would be.
    assert generate(options, tmp_path / "more").last_histories is None
    assert not (tmp_path / "more" / LAST_HISTORIES_FILE).exists()


def test_beam_writes_the_same_bytes(tmp_path):
    options = GenerateOptions(release="sample")
    local = generate(options, tmp_path / "local", last_histories=3)
    from data.beam_options import IN_PROCESS_ARGS

    assert generate(options, tmp_path / "beam", last_histories=3, beam_args=IN_PROCESS_ARGS) == local


def test_a_damaged_file_is_made_anew(tmp_path):
    options = GenerateOptions(release="sample")
    generate(options, tmp_path / "made", last_histories=3)
    whole = (tmp_path / "made" / LAST_HISTORIES_FILE).read_bytes()
    (tmp_path / "made" / LAST_HISTORIES_FILE).write_bytes(whole[:-9])
    generate(options, tmp_path / "made", last_histories=3)
    assert (tmp_path / "made" / LAST_HISTORIES_FILE).read_bytes() == whole
    Manifest.load(tmp_path / "made").verify(tmp_path / "made")


def test_of_a_user_in_several_files_the_first_counts(tmp_path):
    options = GenerateOptions(name="shop")
    for name, users, first in (("new", [2, 3], 50), ("old", [1, 2], 10)):
        rows = [f"{user},{first + i},{10**9 + i}" for user in users for i in range(4)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["user,item,time", *rows, ""]))
        generate(options, tmp_path / name, interactions=str(tmp_path / f"{name}.csv"), last_histories=2)
    files = [tmp_path / name / LAST_HISTORIES_FILE for name in ("new", "old")]
    assert merge_last_histories(files, tmp_path / LAST_HISTORIES_FILE) == 3
    assert read(tmp_path) == {2: [52, 53], 3: [52, 53], 1: [12, 13]}
