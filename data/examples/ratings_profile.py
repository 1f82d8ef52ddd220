"""What the ratings behind the examples look like: when they were made, and how many each user has."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from data.timelines.value_tally import ValueTally

_MOST_MONTHS = 600
"""Ratings of more months than this are counted by year, so that odd times can't make a manifest long."""


class RatingsProfile(BaseModel):
    """Counts for people to look at; nothing else depends on them.

    Examples
    --------
    >>> days, lengths = (ValueTally.of(np.array(values)) for values in ([0, 30, 31], [3, 5, 6, 9]))
    >>> profile = RatingsProfile.of(days, lengths, rated_movies=2)
    >>> profile.by_time, profile.timeline_lengths, profile.kept_ratings, profile.median_timeline_length
    ({'1970-01': 2, '1970-02': 1}, {2: 1, 4: 2, 8: 1}, 23, 5)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by_time: dict[str, int]
    """Ratings of the source, before any filter, by month (`1997-09`); by year (`1997`) where they span very many."""
    rated_movies: int
    """Distinct movies that are rated, before any filter."""
    kept_ratings: int
    """Ratings in timelines, after the filters."""
    kept_users: int
    """Users with a timeline."""
    timeline_lengths: dict[int, int]
    """How many timelines have at least so many ratings and fewer than twice as many; keys are powers of 2."""
    median_timeline_length: int
    """The middle timeline's, of an even number the shorter middle one's; 0 without a timeline."""

    def by_time_without_gaps(self, most: int) -> dict[str, int]:
        """Return the ratings by month, months without any among them, or by year where these are more than so many.

        >>> profile = RatingsProfile(
        ...     by_time={"1999-11": 5, "2000-01": 2},
        ...     rated_movies=1,
        ...     kept_ratings=7,
        ...     kept_users=1,
        ...     timeline_lengths={4: 1},
        ...     median_timeline_length=7,
        ... )
        >>> profile.by_time_without_gaps(3), profile.by_time_without_gaps(2)
        ({'1999-11': 5, '1999-12': 0, '2000-01': 2}, {'1999': 5, '2000': 2})
        """
        times = np.array(list(self.by_time), dtype=np.datetime64)
        if int((times.max() - times.min()).astype(np.int64)) >= most:
            times = times.astype("datetime64[Y]")
        found = ValueTally.added_up(times.view(np.int64), np.array(list(self.by_time.values()), np.int64))
        first, last = found.values[[0, -1]].tolist()
        # Odd times may lie centuries apart.
        every = np.arange(first, last + 1) if last - first < most else found.values
        counts = dict(zip(found.values.tolist(), found.counts.tolist(), strict=True))
        names = every.view(times.dtype).astype(str).tolist()
        return {name: counts.get(time, 0) for name, time in zip(names, every.tolist(), strict=True)}

    @classmethod
    def of(cls, days: ValueTally, lengths: ValueTally, *, rated_movies: int) -> RatingsProfile:
        """Sum counts up.

        Parameters
        ----------
        days
            How many ratings are of which day, in days since 1970.
        lengths
            How many timelines are how long.
        rated_movies
            Distinct movies that are rated.
        """
        dates = days.values.astype("datetime64[D]")
        units = dates.astype("datetime64[M]")
        if len(np.unique(units)) > _MOST_MONTHS:
            units = dates.astype("datetime64[Y]")
        by_time = ValueTally.added_up(units.view(np.int64), days.counts)
        powers = np.int64(1) << np.floor(np.log2(np.maximum(lengths.values, 1))).astype(np.int64)
        by_length = ValueTally.added_up(powers, lengths.counts)
        names = by_time.values.view(units.dtype).astype(str).tolist()
        kept_users = int(lengths.counts.sum())
        middle = int(np.searchsorted(np.cumsum(lengths.counts), (kept_users + 1) // 2))
        return cls(
            by_time=dict(zip(names, by_time.counts.tolist(), strict=True)),
            rated_movies=rated_movies,
            kept_ratings=int((lengths.values * lengths.counts).sum()),
            kept_users=kept_users,
            timeline_lengths=dict(zip(by_length.values.tolist(), by_length.counts.tolist(), strict=True)),
            median_timeline_length=int(lengths.values[middle]) if kept_users else 0,
        )
