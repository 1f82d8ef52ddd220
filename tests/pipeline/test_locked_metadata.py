"""A metadata file that another program holds open is said to be so, and is never taken for a damaged one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import inspect_data
from data.errors import InputError
from pipeline.error_messages import check_metadata, describe_failure

WRITER, READER = "BEGIN EXCLUSIVE", "BEGIN; SELECT count(*) FROM Artifact"


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    file = tmp_path / "pipelines" / "mine" / "metadata.sqlite"
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE Artifact (id)")
    return file


@contextmanager
def held(metadata: Path, how: str) -> Iterator[None]:
    with closing(sqlite3.connect(metadata, isolation_level=None)) as database:
        for statement in how.split(";"):
            database.execute(statement).fetchall()
        yield


def refusal(metadata: Path) -> str:
    with pytest.raises(InputError) as refused:
        check_metadata(metadata, metadata.parent / "artifacts")
    return str(refused.value)


@pytest.mark.parametrize("how", [WRITER, READER])
def test_a_run_says_to_close_what_holds_its_metadata_and_begins_once_that_is_done(metadata, how):
    with held(metadata, how):
        assert refusal(metadata) == f"another program holds {metadata} open: close it and run again"
    check_metadata(metadata, metadata.parent / "artifacts")


def test_a_look_at_the_data_says_so_too(metadata, capsys):
    with held(metadata, WRITER):
        assert inspect_data.main(["show", "--work-dir", str(metadata.parents[2])]) == 2
    assert capsys.readouterr().err == f"error: another program holds {metadata} open: close it and run again [R03]\n"


def test_what_can_not_be_opened_is_not_to_be_moved_away(metadata):
    metadata.unlink()
    metadata.mkdir()
    assert refusal(metadata).endswith("can't be opened (unable to open database file): give access to it and run again")


def test_what_is_no_database_is_to_be_moved_away(metadata):
    metadata.write_bytes(b"x" * 9999)
    assert refusal(metadata).endswith(f"move {metadata.parent} away and run again; what is published stays")


@pytest.mark.parametrize("said", ["database is locked", "Concurrent writes aborted after max number of retries."])
def test_a_program_that_takes_the_metadata_in_the_midst_of_a_run_is_to_be_closed(metadata, said):
    told = describe_failure(RuntimeError(said), metadata.parents[2], metadata.parent / "artifacts").message
    assert told == f"another program holds {metadata} open: close it and run again"
