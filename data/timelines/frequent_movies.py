"""Which movies are rated often enough, counted while ratings are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from data.timelines.value_tally import ValueTally


class RatingsOfMovies:
    """How often each movie is rated with enough stars.

    Parameters
    ----------
    min_rating
        The fewest stars that count.
    """

    def __init__(self, min_rating: float) -> None:
        self._min_rating = min_rating
        self._tally = ValueTally.nothing()

    def counted(self, ratings: Iterable[NDArray[np.void]]) -> Iterator[NDArray[np.void]]:
        """Yield the ratings, `RATING_DTYPE[n]` each, as they are given, and count them."""
        for part in ratings:
            kept = part["movie"][part["stars"] >= self._min_rating]
            self._tally = self._tally.merge(ValueTally.of(kept))
            yield part

    def at_least(self, number: int) -> NDArray[np.int32]:
        """Return the movies with so many ratings, int32 `[m]`, ascending, as the ratings name them."""
        return self._tally.values[self._tally.counts >= number].astype(np.int32)
