"""The folder through which workers and client hand each other files, on a disk."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from data.errors import InputError
from data.exchange import Exchange, UnseenFileError

GOOGLE = "gs://anonymous@bucket/folder?scheme=http&endpoint_override=localhost:9&retry_limit_seconds=1"
"""A store that doesn't answer."""


def test_what_is_written_is_read_and_a_later_one_takes_its_place(tmp_path: Path):
    exchange = Exchange.below(str(tmp_path))
    exchange.write("cut.json", b"1")
    exchange.write("cut.json", b"2")
    assert exchange.read("cut.json") == b"2"
    assert sorted(path.name for path in Path(exchange.address).iterdir()) == ["begun", "cut.json"]


def test_two_attempts_at_one_file_have_names_of_their_own(tmp_path: Path):
    exchange = Exchange.below(str(tmp_path))
    attempts = []
    for content in (b"first", b"second"):
        with exchange.create("shard") as (attempt, file):
            file.write(content)
        attempts.append(attempt)
    assert [exchange.read(attempt) for attempt in attempts] == [b"first", b"second"]


def test_files_come_from_this_machine_and_go_back_and_nothing_stays(tmp_path: Path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "rows").write_bytes(b"12")
    exchange = Exchange.below(str(tmp_path / "there"))
    exchange.put(tmp_path / "here" / "rows")
    assert exchange.read("rows") == b"12"
    exchange.fetch("rows", tmp_path / "here" / "back")
    assert (tmp_path / "here" / "back").read_bytes() == b"12"
    exchange.remove()
    assert list((tmp_path / "there").iterdir()) == []


def test_a_file_that_lies_in_the_folder_stays_as_it_is(tmp_path: Path):
    (tmp_path / "rows").write_bytes(b"12")
    Exchange(str(tmp_path)).put(tmp_path / "rows")
    assert Exchange(str(tmp_path)).read("rows") == b"12"


def test_two_exchanges_below_one_folder_share_nothing(tmp_path: Path):
    first, second = Exchange.below(str(tmp_path)), Exchange.below(f"{tmp_path}/")
    first.write("cut.json", b"1")
    with pytest.raises(UnseenFileError, match=UnseenFileError.MARK):
        second.read("cut.json")


def test_a_worker_gets_the_address_alone(tmp_path: Path):
    exchange = Exchange.below(str(tmp_path))
    exchange.write("cut.json", b"1")
    assert copy.deepcopy(exchange).read("cut.json") == b"1"


@pytest.mark.parametrize("parent", ["{file}", "nothing://bucket/folder", "s3://no bucket/folder", GOOGLE])
def test_a_place_that_can_not_be_written_is_told_in_one_line(tmp_path: Path, parent: str):
    (tmp_path / "file").touch()
    named = parent.format(file=tmp_path / "file")
    with pytest.raises(InputError) as error:
        Exchange.below(named)
    assert error.value.code == "F16"
    assert error.value.message.startswith(f"{named.partition('?')[0]} can't be written: ")
    assert "\n" not in error.value.message
