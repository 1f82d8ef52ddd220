"""What examples don't tell: of users, of times, and of what happened at the same second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from data.timelines.timelines import Timelines
from data.timelines.value_tally import ValueTally

_EXACT_BITS = 5
"""Waits are rounded down to so many binary digits, by less than a sixteenth: few distinct values remain."""


class SplitTimes(BaseModel):
    """Users and times of one split's labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: int
    """Examples."""
    users: int
    """Users with an example in the split."""
    first: int
    """Time of the earliest label in seconds since 1970."""
    last: int
    """Time of the latest label in seconds since 1970."""
    at_once: int
    """Labels at the same second as the rating before them, the context's last."""
    median_wait: int
    """Median of the seconds from the context's last rating to the label, rounded down by less than a sixteenth."""
    long_wait: int
    """90th percentile of these seconds, rounded likewise."""


class TimeFacts(BaseModel):
    """Users and times of the timelines that the examples were made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratings: int
    """Ratings in the timelines, after all filters."""
    users: int
    """Users with a timeline."""
    tied: int
    """Ratings that share user and second with another: the order among these is not known."""
    repeated: int
    """Ratings of a movie that the user had rated before in the timeline."""
    cold_users: int
    """Users with an eval label and without a train label."""
    late_labels: int
    """Train labels later than the same user's earliest eval label."""
    train: SplitTimes
    """Of the train split."""
    eval: SplitTimes
    """Of the eval split."""


@dataclass(frozen=True)
class LabelCounts:
    """Users and times of one split's labels in some timelines, to be added up; attributes as in `SplitTimes`.

    Attributes
    ----------
    first, last
        None without labels.
    waits
        How often each wait occurs, in rounded seconds.
    """

    labels: int
    users: int
    first: int | None
    last: int | None
    waits: ValueTally

    @classmethod
    def nothing(cls) -> LabelCounts:
        """Return the counts of no timelines."""
        return cls(labels=0, users=0, first=None, last=None, waits=ValueTally.nothing())

    @classmethod
    def of(cls, timelines: Timelines, rows: NDArray[np.int64], user_of: NDArray[np.int64]) -> LabelCounts:
        """Count the labels in the given rows of timelines, whose users are numbered."""
        times = timelines.ratings["time"]
        return cls(
            labels=len(rows),
            users=len(np.unique(user_of[rows])),
            first=int(times[rows].min()) if len(rows) else None,
            last=int(times[rows].max()) if len(rows) else None,
            waits=ValueTally.of(round_down(times[rows] - times[rows - 1])),
        )

    def merge(self, other: LabelCounts) -> LabelCounts:
        """Add up the counts of two groups of users."""
        firsts = [first for first in (self.first, other.first) if first is not None]
        lasts = [last for last in (self.last, other.last) if last is not None]
        return LabelCounts(
            labels=self.labels + other.labels,
            users=self.users + other.users,
            first=min(firsts, default=None),
            last=max(lasts, default=None),
            waits=self.waits.merge(other.waits),
        )

    def summary(self) -> SplitTimes | None:
        """Return what the manifest holds; None without labels."""
        if self.first is None or self.last is None:
            return None
        median_wait, long_wait = quantiles(self.waits, (0.5, 0.9))
        return SplitTimes(
            labels=self.labels,
            users=self.users,
            first=self.first,
            last=self.last,
            at_once=int(self.waits.counts[self.waits.values == 0].sum()),
            median_wait=median_wait,
            long_wait=long_wait,
        )


@dataclass(frozen=True)
class TimeCounts:
    """Users and times of some timelines, to be added up; attributes as in `TimeFacts`."""

    ratings: int
    users: int
    tied: int
    repeated: int
    cold_users: int
    late_labels: int
    train: LabelCounts
    eval: LabelCounts

    @classmethod
    def nothing(cls) -> TimeCounts:
        """Return the counts of no timelines."""
        return cls(0, 0, 0, 0, 0, 0, LabelCounts.nothing(), LabelCounts.nothing())

    @classmethod
    def of(cls, timelines: Timelines, rows: NDArray[np.int64], is_train: NDArray[np.bool_]) -> TimeCounts:
        """Count some users' timelines.

        Parameters
        ----------
        timelines
            Timelines, or parts of them: all that there is of a user.
        rows
            int64 `[n]`: the ratings that are labels, ascending.
        is_train
            `[n]`: which of these train.
        """
        ratings = timelines.ratings
        user_of = timelines.user_numbers
        num_users = int(timelines.is_last.sum())
        same_as_before = np.zeros(len(ratings) + 1, dtype=bool)
        same_as_before[1:-1] = (user_of[1:] == user_of[:-1]) & (ratings["time"][1:] == ratings["time"][:-1])
        # Users are numbered by the block here, so that user and movie fit into one number.
        pairs = (user_of << np.int64(32)) | ratings["movie"]
        train, held_out = rows[is_train], rows[~is_train]
        tested, firsts = np.unique(user_of[held_out], return_index=True)
        first_tested = np.full(num_users, np.iinfo(np.int64).max)
        first_tested[tested] = ratings["time"][held_out[firsts]]
        return cls(
            ratings=len(ratings),
            users=num_users,
            tied=int((same_as_before[:-1] | same_as_before[1:]).sum()),
            repeated=len(pairs) - len(np.unique(pairs)),
            cold_users=len(np.setdiff1d(tested, user_of[train])),
            late_labels=int((ratings["time"][train] > first_tested[user_of[train]]).sum()),
            train=LabelCounts.of(timelines, train, user_of),
            eval=LabelCounts.of(timelines, held_out, user_of),
        )

    def merge(self, other: TimeCounts) -> TimeCounts:
        """Add up the counts of two groups of users."""
        return TimeCounts(
            ratings=self.ratings + other.ratings,
            users=self.users + other.users,
            tied=self.tied + other.tied,
            repeated=self.repeated + other.repeated,
            cold_users=self.cold_users + other.cold_users,
            late_labels=self.late_labels + other.late_labels,
            train=self.train.merge(other.train),
            eval=self.eval.merge(other.eval),
        )

    def summary(self) -> TimeFacts | None:
        """Return what the manifest holds; None where a split is empty."""
        train, held_out = self.train.summary(), self.eval.summary()
        if train is None or held_out is None:
            return None
        return TimeFacts(
            ratings=self.ratings,
            users=self.users,
            tied=self.tied,
            repeated=self.repeated,
            cold_users=self.cold_users,
            late_labels=self.late_labels,
            train=train,
            eval=held_out,
        )


def round_down(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return non-negative numbers with all but their first five binary digits set to 0, `[n]` to `[n]`.

    >>> round_down(np.array([0, 31, 32, 33, 1000])).tolist()
    [0, 31, 32, 32, 992]
    """
    _, digits = np.frexp(values.astype(np.float64))
    dropped = np.maximum(digits.astype(np.int64) - _EXACT_BITS, 0)
    return (values >> dropped) << dropped


def quantiles(tally: ValueTally, shares: Sequence[float]) -> list[int]:
    """Return the least values that the given shares of all counted ones don't exceed.

    >>> quantiles(ValueTally.of(np.array([1, 1, 2, 9])), (0.5, 0.75, 0.9))
    [1, 2, 9]
    """
    reached = np.cumsum(tally.counts)
    places = np.searchsorted(reached, np.array(shares) * reached[-1])
    return [int(tally.values[place]) for place in places]
