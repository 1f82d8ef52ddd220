"""What a cell of an own file may hold: ids, times and ratings, turned over by whole columns.

A column that can't be turned over is halved until the row that is at fault is found.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.errors import InputError
from data.movie_ids import MovieId
from data.timelines.hashing import mix64

IdKind = Literal["integer", "text"]

MAX_ID_BYTES = 127
"""Bytes of the longest id that is a text."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_LARGEST = 2**63 - 1
_FIRST_MILLISECONDS = 100_000_000_000
"""A number of this size is of milliseconds: as seconds it would lie in the year 5138, as these in 1973."""

_DAY = 86_400
_TIMES = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", tz="UTC"))
_BREAKS = ("\n", "\r", "\0")


class ColumnError(Exception):
    """A value of a column can't be used."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


def raise_fault(label: str, first_row: int, meaning: str, error: ColumnError) -> None:
    """Raise an `InputError` about a row of a file."""
    raise InputError(f"{label} row {first_row + error.row}: {meaning} {error.reason}", code="D27") from error


def distinct(column: pa.Array) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the rows of a column as places in a list of its distinct values.

    Raises
    ------
    ColumnError
        A value is missing.
    """
    if pa.types.is_dictionary(column.type):
        # A table's own dictionary may hold values that no row has.
        column = column.dictionary_decode()
    encoded = column.dictionary_encode()
    if encoded.null_count:
        missing = pc.index(encoded.is_null(), pa.scalar(True)).as_py()
        raise ColumnError(missing, "is missing")
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def kind_of(values: list[Any]) -> IdKind:
    """Return whether ids are integers, also where a file spells them as texts."""
    return "integer" if all(_is_integer(value) for value in values) else "text"


def as_ids(places: NDArray[np.int64], values: list[Any], kind: IdKind) -> list[MovieId]:
    """Return distinct ids as a kind has them.

    Raises
    ------
    ColumnError
        A value is no id of the kind.
    """

    def fail(value: Any, reason: str) -> None:
        row = int(np.flatnonzero(places == values.index(value))[0])
        raise ColumnError(row, f"{_shown(value)} {reason}")

    ids: list[MovieId] = []
    for value in values:
        if isinstance(value, bytes):
            fail(value, "is neither a text nor an integer")
        if kind == "integer":
            if not _is_integer(value):
                fail(value, "is no integer as the ids before it: set data.item_ids to text if ids are texts")
            ids.append(int(value))
            continue
        if isinstance(value, bool) or not isinstance(value, int | str):
            fail(value, "is neither a text nor an integer")
        text = str(value)
        if any(sign in text for sign in _BREAKS):
            fail(value, "holds a line break or a NUL")
        if len(text.encode()) > MAX_ID_BYTES:
            fail(value, f"is longer than {MAX_ID_BYTES} bytes")
        ids.append(text)
    return ids


def user_numbers(values: list[Any]) -> NDArray[np.uint64]:
    """Return a number for each distinct user: small integers stand for themselves, others are hashed to 64 bits."""
    numbers = np.empty(len(values), dtype=np.uint64)
    for place, value in enumerate(values):
        if _is_integer(value):
            number = int(value)
            small = 0 <= number < 1 << 31
            numbers[place] = number if small else mix64(np.array([number], dtype=np.int64))[0]
        else:
            content = value if isinstance(value, bytes) else str(value).encode()
            numbers[place] = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    return numbers


def user_id(value: Any) -> MovieId:
    """Return a user as answers name it: an integer of 64 bits, or the text that the file has.

    >>> user_id("7"), user_id("007"), user_id(2**70), user_id(b"anna")
    (7, '007', '1180591620717411303424', 'anna')
    """
    if _is_integer(value):
        return int(value)
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def as_times(column: pa.Array) -> NDArray[np.int64]:
    """Return times in seconds since 1970, from seconds, milliseconds, ISO 8601 or Arrow's own times; UTC by default.

    Raises
    ------
    ColumnError
        A value is missing, no time, or out of range: before 1970, or more than a day ahead of this machine's clock.
    """
    _check_present(column)
    seconds = _turn(column, _seconds, "is no time: seconds or milliseconds since 1970, or ISO 8601, are known")
    latest = int(time.time()) + _DAY
    bad = np.flatnonzero((seconds < 0) | (seconds > latest))
    if len(bad):
        row = int(bad[0])
        today = datetime.fromtimestamp(latest - _DAY, timezone.utc).date()
        raise ColumnError(row, f"{_shown(column[row].as_py())} is not between 1970 and today, {today}")
    return seconds


def as_ratings(column: pa.Array) -> NDArray[np.float32]:
    """Return ratings or weights.

    Raises
    ------
    ColumnError
        A value is missing, or no number of 0 or more.
    """
    _check_present(column)
    reason = "is no number of 0 or more"
    ratings = _turn(column, lambda values: _numbers(values.cast(pa.float64())), reason)
    bad = np.flatnonzero(~(np.isfinite(ratings) & (ratings >= 0)))
    if len(bad):
        raise ColumnError(int(bad[0]), f"{_shown(column[int(bad[0])].as_py())} {reason}")
    return ratings.astype(np.float32)


def _check_present(column: pa.Array) -> None:
    if column.null_count:
        raise ColumnError(pc.index(column.is_null(), pa.scalar(True)).as_py(), "is missing")


def _turn(column: pa.Array, turn: Callable[[pa.Array], NDArray[Any]], reason: str) -> NDArray[Any]:
    """Return what a function makes of a column, or raise a `ColumnError` about the first row that it fails at."""
    try:
        return turn(column)
    except (pa.ArrowException, NotImplementedError):
        pass
    first, last = 0, len(column) - 1
    while first < last:
        middle = (first + last) // 2
        try:
            turn(column.slice(first, middle - first + 1))
            first = middle + 1
        except (pa.ArrowException, NotImplementedError):
            last = middle
    try:
        turn(column.slice(first, 1))
    except (pa.ArrowException, NotImplementedError):
        raise ColumnError(first, f"{_shown(column[first].as_py())} {reason}") from None
    # Each half is well by itself, but they are not of one form.
    raise ColumnError(first, f"{_shown(column[first].as_py())} is of another form than the row before it")


def _seconds(column: pa.Array) -> NDArray[np.int64]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _seconds(_cast_to_first(column, _TIMES))
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _numbers(column.cast(pa.timestamp("us")).cast(pa.int64())) // 1_000_000
    numbers = _numbers(column.cast(pa.float64()) if pa.types.is_floating(column.type) else column.cast(pa.int64()))
    numbers = np.where(np.abs(numbers) >= _FIRST_MILLISECONDS, np.floor(numbers / 1000), np.floor(numbers))
    # What is no number, or too large for one of 64 bits, is out of range.
    return np.where(np.abs(numbers) < 1 << 62, numbers, -1).astype(np.int64)


def _cast_to_first(column: pa.Array, kinds: Sequence[pa.DataType]) -> pa.Array:
    """Return texts as the first of some types that all of them can be read as."""
    try:
        return column.cast(kinds[0])
    except pa.ArrowException:
        if len(kinds) == 1:
            raise
        return _cast_to_first(column, kinds[1:])


def _numbers(column: pa.Array) -> NDArray[Any]:
    return column.to_numpy(zero_copy_only=False)


def _is_integer(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_INTEGER.fullmatch(value)) and -_LARGEST <= int(value) <= _LARGEST
    return isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
