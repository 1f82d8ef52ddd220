"""From ratings to each user's movies in the order of time, on whole arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RATING_DTYPE = np.dtype([("user", "<u8"), ("movie", "<i4"), ("stars", "<f4"), ("time", "<i8")])
"""One rating as it lies in memory and in the temporary files: 24 bytes; `time` in seconds since 1970.

`movie` is a number that the reader gives the movie, until the catalogue is known: then its code, see
`data.movie_ids`.
"""


PART_DTYPE = np.dtype([*RATING_DTYPE.descr, ("position", "<i8"), ("is_label", "?")])
"""One rating of a part of a timeline: its place in the whole timeline, and whether it is a label here.

Parts hold what the windows of their labels need, and no more: see `data.spans`.
"""

_EVENT = ("user", "movie", "time")


@dataclass(frozen=True)
class Timelines:
    """The timelines of some users, one after the other, users ascending.

    Attributes
    ----------
    ratings
        `RATING_DTYPE[num_ratings]`: kept ratings, each user's together and in the order of time.
    positions
        int64 `[num_ratings]`: the place in the user's timeline, from 0.
    is_last
        bool `[num_ratings]`: whether it is the user's last.
    is_label
        bool `[num_ratings]`: whether an example has it as its label. Of whole timelines, each that has another before
        it; of parts, the ones that are marked.
    """

    ratings: NDArray[np.void]
    positions: NDArray[np.int64]
    is_last: NDArray[np.bool_]
    is_label: NDArray[np.bool_]

    @classmethod
    def of(cls, ordered: NDArray[np.void]) -> Timelines:
        """Return the timelines of ratings that are filtered and ordered already: whole ones, or `PART_DTYPE[n]`."""
        starts = _starts(ordered)
        lengths = np.diff(starts, append=len(ordered))
        is_last = np.zeros(len(ordered), dtype=bool)
        is_last[starts + lengths - 1] = True
        if ordered.dtype == PART_DTYPE:
            return cls(ordered, ordered["position"], is_last, ordered["is_label"])
        positions = np.arange(len(ordered)) - np.repeat(starts, lengths)
        return cls(ordered, positions, is_last, positions >= 1)

    @property
    def user_numbers(self) -> NDArray[np.int64]:
        """The users of the ratings, numbered from 0 in their order, int64 `[num_ratings]`."""
        numbers = np.zeros(len(self.ratings), dtype=np.int64)
        numbers[_starts(self.ratings)] = 1
        return np.cumsum(numbers) - 1


Ties = Literal["as_given", "by_movie"]
"""How ratings of a user at one time are ordered: as they are given, or by movie and stars, however they are given."""


def build_timelines(
    ratings: NDArray[np.void],
    *,
    min_rating: float,
    min_timeline_length: int,
    ties: Ties = "as_given",
    drop_repeats: bool = False,
) -> Timelines:
    """Filter ratings by stars, order them, and drop short timelines.

    Parameters
    ----------
    ratings
        `RATING_DTYPE[n]`: all ratings of some users, each user's in the order of the release's file.
    min_rating
        The fewest stars that are kept.
    min_timeline_length
        The fewest kept ratings that a user needs.
    ties
        The order of a user's ratings at one time.
    drop_repeats
        Whether of a user's ratings of one movie at one time only the last is kept. Ties have to be by movie.

    Returns
    -------
    Timelines
        Without users whose timelines are too short.
    """
    kept = ratings[ratings["stars"] >= min_rating]
    keys = (kept["time"], kept["user"])
    kept = kept[np.lexsort((kept["stars"], kept["movie"], *keys) if ties == "by_movie" else keys)]
    if drop_repeats:
        is_repeated = np.zeros(len(kept), dtype=bool)
        is_repeated[:-1] = np.logical_and.reduce([kept[name][1:] == kept[name][:-1] for name in _EVENT])
        kept = kept[~is_repeated]
    starts = _starts(kept)
    lengths = np.diff(starts, append=len(kept))
    long_enough = lengths >= min_timeline_length
    return Timelines.of(kept[np.repeat(long_enough, lengths)])


def _starts(ordered: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the rows at which another user's ratings begin."""
    users = ordered["user"]
    is_start = np.ones(len(users), dtype=bool)
    is_start[1:] = users[1:] != users[:-1]
    return np.flatnonzero(is_start)
