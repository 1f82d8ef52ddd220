"""Which movies a question wants to choose from, and how the signature `filtered` is asked about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.movie_ids import MovieId
from data.releases.catalogue import Catalogue

SIGNATURE = "filtered"
"""The signature that takes filters."""

_NO_GENRE = ""
_NO_YEAR = 0
_YEARS = re.compile(r"(?P<year>\d{1,4})|(?=.*\d)(?P<first>\d{1,4})?\s*-\s*(?P<last>\d{1,4})?", re.ASCII)
_NAMED = 20
"""Genres that a message names."""


@dataclass(frozen=True)
class Filters:
    """What every movie of an answer must be.

    Attributes
    ----------
    allow
        The only movies to offer, of which there is at least one; None for all.
    deny
        Movies not to offer.
    genres
        A movie needs one of them at least; empty for any.
    without_genres
        A movie must have none of them.
    first_year, last_year
        Bounds, both included; 0 for none. A movie whose year is unknown lies within no bounds.

    Examples
    --------
    >>> Filters(genres=("Drama",), first_year=1990).is_empty
    False
    """

    allow: tuple[MovieId, ...] | None = None
    deny: tuple[MovieId, ...] = ()
    genres: tuple[str, ...] = ()
    without_genres: tuple[str, ...] = ()
    first_year: int = _NO_YEAR
    last_year: int = _NO_YEAR

    @property
    def is_empty(self) -> bool:
        """Whether any movie will do."""
        return self == Filters()

    def check(self, catalogue: Catalogue) -> None:
        """Check that a data set's movies can be chosen from by these filters.

        Raises
        ------
        InputError
            A genre is in no movie, an id is not of the data set's kind, the years are none, or a list of movies to
            choose from holds none.
        """
        known = catalogue.genre_names()
        for genre in (*self.genres, *self.without_genres):
            if genre not in known:
                named = ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
                raise InputError(f"no movie has the genre {genre!r}: there are {named or 'no genres'}", code="M30")
        if self.allow == ():
            raise InputError("the list of movies to choose from is empty: leave it out to choose from all", code="M31")
        for movie_id in (*(self.allow or ()), *self.deny):
            if not catalogue.may_be_id(movie_id):
                raise InputError(f"{movie_id!r} in a filter is no id of this data set's", code="M31")
        for year in (self.first_year, self.last_year):
            if not _NO_YEAR <= year <= np.iinfo(np.int64).max:
                raise InputError(f"{year} in a filter is no year", code="M31")
        if self.last_year != _NO_YEAR and self.first_year > self.last_year:
            raise InputError(f"the years {self.first_year} to {self.last_year} are none", code="M31")


def parse_years(text: str) -> tuple[int, int]:
    """Return the first and the last year that a text means, 0 for no bound.

    Examples
    --------
    >>> parse_years("1990-1999"), parse_years("1994"), parse_years("1980-"), parse_years("-1979")
    ((1990, 1999), (1994, 1994), (1980, 0), (0, 1979))

    Raises
    ------
    ValueError
        It means none.
    """
    found = _YEARS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is neither a year nor a range such as 1990-1999")
    year, first, last = found["year"], found["first"], found["last"]
    return int(year or first or _NO_YEAR), int(year or last or _NO_YEAR)


def filter_inputs(filters: Sequence[Filters], include_seen: Sequence[bool], pad: MovieId) -> dict[str, NDArray[Any]]:
    """Return what the signature is asked beside the histories.

    Parameters
    ----------
    filters, include_seen
        `num_histories` each: a row's filters, and whether it is offered its history's own movies too.
    pad
        The data set's.

    Returns
    -------
    dict
        By input: bool or int64 `[num_histories]`, or ids and genres, `[num_histories, longest]`, filled up at the end.
    """
    id_type = object if isinstance(pad, str) else np.int64
    return {
        "include_seen": np.array(include_seen, np.bool_),
        "allow_movie_id": rectangle([row.allow or () for row in filters], pad, id_type),
        "deny_movie_id": rectangle([row.deny for row in filters], pad, id_type),
        "genre": rectangle([row.genres for row in filters], _NO_GENRE, object),
        "without_genre": rectangle([row.without_genres for row in filters], _NO_GENRE, object),
        "first_year": np.array([row.first_year for row in filters], np.int64),
        "last_year": np.array([row.last_year for row in filters], np.int64),
    }


def rectangle(rows: Iterable[Sequence[Any]], filler: object, dtype: Any) -> NDArray[Any]:
    """Return lists of different lengths as an array, filled up at the end: `[num_rows, longest]`, at least one wide."""
    lists = list(rows)
    filled = np.full((len(lists), max((len(row) for row in lists), default=0) or 1), filler, dtype)
    for place, row in enumerate(lists):
        filled[place, : len(row)] = row
    return filled
