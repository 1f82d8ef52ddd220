"""Ids of movies: 64-bit integers or texts, and the value that stands for no movie."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MovieId = int | str
"""As Python and JSON have it. Arrays hold int64, or the text's UTF-8 bytes."""

NO_MOVIE = 0
"""The code of a pad. A movie's code is 1 + its row in the catalogue."""


def id_array(ids: Iterable[MovieId], *, text: bool) -> NDArray[Any]:
    """Return ids as an array, `[n]`: of int64, or of byte strings where ids are texts.

    Raises
    ------
    TypeError
        An id is of the other kind.
    OverflowError
        An integer has more than 64 bits.
    """
    listed = list(ids)
    if any(isinstance(movie_id, str) is not text for movie_id in listed):
        raise TypeError(f"ids are {'texts' if text else 'integers'}")
    if text:
        return np.array([str(movie_id).encode() for movie_id in listed], dtype=np.bytes_)
    return np.array(listed, dtype=np.int64)


def plain_id(value: Any) -> MovieId:
    """Return an entry of an array, or of a tensor's, as Python has it."""
    return value.decode() if isinstance(value, bytes) else int(value)


def is_text(ids: NDArray[Any]) -> bool:
    """Return whether an array holds texts; an array from TensorFlow holds them as objects."""
    return ids.dtype.kind in "SO"


def choose_pad(ids: NDArray[Any]) -> MovieId:
    """Return the value that stands for no movie: 0, or the empty text, unless a movie has that id.

    >>> choose_pad(np.array([3, 7])), choose_pad(np.array([0, 3, -1])), choose_pad(np.array([b"", b"x"]))
    (0, -2, '<pad>')
    """
    taken = {plain_id(movie_id) for movie_id in ids.tolist()}
    return next(pad for pad in _pads(is_text(ids)) if pad not in taken)


def _pads(text: bool) -> Iterator[MovieId]:
    if not text:
        yield from itertools.count(0, -1)
    yield from ("", "<pad>")
    yield from (f"<pad {number}>" for number in itertools.count(2))
