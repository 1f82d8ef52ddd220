"""Periods of a release, by which train labels are counted: the examples themselves bear no time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.timelines.value_tally import ValueTally

NUM_PERIODS = 64
"""Of ml-latest-small's 22 years a period is four months, of ML-1M's three it is 17 days: short enough to follow what
comes into fashion. Being few, they bound the size of the counts; being a power of two, they are the longest of the
stretches of 1, 2, 4, ... periods."""


@dataclass(frozen=True)
class TimeRange:
    """From the first to the last rating of a release, both included, in seconds since 1970."""

    first: int
    last: int

    def periods_of(self, times: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the periods of times, `[n]` to int64 `[n]`, from 0 to `NUM_PERIODS - 1`.

        Times outside the range, which labels of a span may have, are of the first or last period.
        """
        since_first = np.clip(times.astype(np.int64), self.first, self.last) - self.first
        return since_first * NUM_PERIODS // (self.last + 1 - self.first)


def label_keys(movie_ids: NDArray[np.integer], periods: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each label's movie and period as one number, `[n]` and `[n]` to int64 `[n]`."""
    return movie_ids.astype(np.int64) * NUM_PERIODS + periods


def movies_and_periods(keys: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the movies and the periods of numbers from `label_keys`, both int64 `[n]`."""
    whole = keys.astype(np.int64, copy=False)
    return whole // NUM_PERIODS, whole % NUM_PERIODS


def count_by_movie(labels: ValueTally) -> ValueTally:
    """Return counts by movie and period (values from `label_keys`) summed over the periods."""
    movie_ids, _ = movies_and_periods(labels.values)
    return ValueTally.added_up(movie_ids, labels.counts)
