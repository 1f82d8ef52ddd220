"""A user taken out of a Parquet file with a row for each user."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import InputError
from data.examples.forgetting import forget_last_history, holds_last_history
from data.examples.last_histories import LAST_HISTORIES_FILE
from data.examples.manifest import Manifest
from data.generate import generate
from data.options import GenerateOptions
from data.rows_of_users import count_rows, is_unfinished, take_user_out


@pytest.mark.parametrize(
    ("users", "user", "left"),
    [
        pytest.param([1, 7, 2**40], "7", [1, 2**40], id="integer"),
        pytest.param([1, 7, 2**40], str(2**40), [1, 7], id="large integer"),
        pytest.param(["007", "7", "anna"], "7", ["007", "anna"], id="integer among texts"),
        pytest.param(["007", "7", "anna"], "anna", ["007", "7"], id="text"),
        pytest.param([7], "7", [], id="the only one"),
        pytest.param([1, 2], "3", [1, 2], id="nobody"),
    ],
)
def test_the_rows_of_a_user_go_and_the_others_stay(tmp_path, users, user, left):
    file = tmp_path / "answers.parquet"
    table = pa.table({"id": users, "movie_id": [[n, n + 1] for n in range(len(users))]})
    pq.write_table(table, file, row_group_size=2)
    file.chmod(0o640)
    assert count_rows(file, user) == len(users) - len(left)
    assert take_user_out(file, user) == len(left) == count_rows(file)
    expected = table.filter(pa.array([one in left for one in users]))
    assert pq.read_table(file).equals(expected)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_damaged_file_is_named_in_one_line(tmp_path):
    (tmp_path / "answers.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError) as refused:
        count_rows(tmp_path / "answers.parquet", "7")
    assert refused.value.code == "R05"
    assert "answers.parquet can't be read" in refused.value.message


def test_last_histories_lose_a_user_for_good_where_the_file_that_they_come_from_stays(tmp_path: Path):
    options, made = GenerateOptions(release="sample"), tmp_path / "made"
    before = generate(options, made, last_histories=5)
    whole = (made / LAST_HISTORIES_FILE).read_bytes()
    assert holds_last_history(made, "7")
    forget_last_history(made, "7")
    assert not holds_last_history(made, "7")
    now = Manifest.load(made)
    now.verify(made)
    assert now.last_histories.users == before.last_histories.users - 1
    assert generate(options, made, last_histories=5) == now
    assert count_rows(made / LAST_HISTORIES_FILE, "7") == 0

    # Killed between the two files, the work is seen to be unfinished.
    (made / LAST_HISTORIES_FILE).write_bytes(whole)
    take_user_out(made / LAST_HISTORIES_FILE, "8")
    take_user_out(made / LAST_HISTORIES_FILE, "7")
    assert holds_last_history(made, "8")
    forget_last_history(made, "8")
    Manifest.load(made).verify(made)


def test_a_kill_while_rows_are_copied_leaves_nothing_that_a_second_call_does_not_remove(tmp_path: Path, monkeypatch):
    file = tmp_path / "answers.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3]}), file)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "chmod", lambda *_: os._exit(9))
        take_user_out(file, "1")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len(list(tmp_path.iterdir())) == 2
    assert is_unfinished(file)

    assert take_user_out(file, "2") == 2

    assert not is_unfinished(file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
