"""From ratings to each user's movies in the order of time, on whole arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATING_DTYPE = np.dtype([("user", "<u8"), ("movie", "<i4"), ("stars", "<f4"), ("time", "<i8")])
"""One rating as it lies in memory and in the temporary files: 24 bytes; `time` in seconds since 1970.

`movie` is a number that the reader gives the movie, until the catalogue is known: then its code, see
`data.releases.catalogue`.
"""


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
    """

    ratings: NDArray[np.void]
    positions: NDArray[np.int64]
    is_last: NDArray[np.bool_]

    @classmethod
    def of(cls, ordered: NDArray[np.void]) -> Timelines:
        """Return the timelines of ratings that are filtered and ordered already."""
        starts = _starts(ordered)
        lengths = np.diff(starts, append=len(ordered))
        positions = np.arange(len(ordered)) - np.repeat(starts, lengths)
        is_last = np.zeros(len(ordered), dtype=bool)
        is_last[starts + lengths - 1] = True
        return cls(ordered, positions, is_last)


def build_timelines(ratings: NDArray[np.void], *, min_rating: float, min_timeline_length: int) -> Timelines:
    """Filter ratings by stars, order them, and drop short timelines.

    The sort is stable: ratings of a user at one time keep the order in which they are given.

    Parameters
    ----------
    ratings
        `RATING_DTYPE[n]`: all ratings of some users, each user's in the order of the release's file.
    min_rating
        The fewest stars that are kept.
    min_timeline_length
        The fewest kept ratings that a user needs.

    Returns
    -------
    Timelines
        Without users whose timelines are too short.
    """
    kept = ratings[ratings["stars"] >= min_rating]
    kept = kept[np.lexsort((kept["time"], kept["user"]))]
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
