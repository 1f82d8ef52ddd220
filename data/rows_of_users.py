"""Parquet files with a row for each user, such as last histories and answers, and a user taken out of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import InputError, one_line
from data.interactions.values import user_numbers
from data.parquet import open_parquet

_ROWS = 16_384
"""Read at once."""


def count_rows(path: Path, user: str | None = None) -> int:
    """Return how many rows a file has, or has of a user.

    Parameters
    ----------
    path
        A Parquet file with a column `id` of integers or texts.
    user
        The user's id, as the ratings or interactions have it; None for all rows.

    Raises
    ------
    InputError
        The file can't be read.
    """
    return sum(len(table) if user is None else len(table) - len(_others(table, user)) for table in _pieces(path))


def write_without_user(path: Path, user: str, target: Path) -> int:
    """Write a file's rows but for those of a user to another file, and return how many they are.

    Parameters
    ----------
    path, user
        As for `count_rows`.
    target
        The file to write.

    Raises
    ------
    InputError
        The file can't be read.
    OSError
        The target can't be written.
    """
    rows = 0
    pieces = (_others(table, user) for table in _pieces(path))
    # The first piece is empty, and says what columns there are.
    first = next(pieces)
    with pq.ParquetWriter(target, first.schema) as writer:
        for table in pieces:
            writer.write_table(table)
            rows += len(table)
    return rows


def take_user_out(path: Path, user: str) -> int:
    """Replace a file, in one rename, by one without a user's rows, and return how many are left.

    Parameters
    ----------
    path, user
        As for `count_rows`.

    Raises
    ------
    InputError
        The file can't be read.
    OSError
        It can't be replaced.
    """
    with tempfile.TemporaryDirectory(prefix=".forget-", dir=path.parent) as folder:
        written = Path(folder) / path.name
        rows = write_without_user(path, user, written)
        written.chmod(path.stat().st_mode)
        Path(written).replace(path)
    return rows


def _others(table: pa.Table, user: str) -> pa.Table:
    """Return the rows of all other users: ids are compared by their numbers, so that 7 and "7" are one user."""
    if not len(table):
        return table
    [number] = user_numbers([user])
    return table.filter(pa.array(user_numbers(table["id"].to_pylist()) != number))


def _pieces(path: Path) -> Iterator[pa.Table]:
    """Yield an empty table of a file's columns, and then its rows."""
    try:
        with open_parquet(path) as file:
            yield file.schema_arrow.empty_table()
            for batch in file.iter_batches(_ROWS, use_threads=False):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} can't be read: {one_line(error)}; remove its folder, and run again", code="R05"
        ) from error
