"""Parquet files with a row for each user, such as last histories and answers, and a user taken out of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    if user is None:
        with _opened(path) as file:
            return int(file.metadata.num_rows)
    return sum(len(table) - len(_others(table, user)) for table in _pieces(path, ["id"]))


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
    aside = _aside(path)
    try:
        rows = write_without_user(path, user, aside)
        aside.chmod(path.stat().st_mode)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return rows


def is_unfinished(path: Path) -> bool:
    """Return whether a killed process left rows of a file beside it, which the next `take_user_out` removes."""
    return _aside(path).exists()


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.forget")


def _others(table: pa.Table, user: str) -> pa.Table:
    """Return the rows of all other users: ids are compared by their numbers, so that 7 and "7" are one user."""
    if not len(table):
        return table
    [number] = user_numbers([user])
    return table.filter(pa.array(user_numbers(table["id"].to_pylist()) != number))


def _pieces(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield an empty table of a file's columns, and then its rows, with some of the columns or all."""
    with _opened(path) as file:
        yield file.schema_arrow.empty_table()
        for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with open_parquet(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} can't be read: {one_line(error)}; remove its folder, and run again", code="R05"
        ) from error
