"""What a split makes of timelines: labels that train, labels that evaluate, and those that are left out as unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from data.splits.base import SplitStrategy
from data.timelines.timelines import Timelines
from data.timelines.windows import label_rows


class LeftOut(BaseModel):
    """Labels that would evaluate, but that no model can know anything of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: int = 0
    """Users without a train label."""
    of_users: int = 0
    """Labels of these users."""
    of_movies: int = 0
    """Labels of other users, of movies that no train example shows."""

    def merge(self, other: LeftOut) -> LeftOut:
        """Add up the counts of two groups of users."""
        return LeftOut(
            users=self.users + other.users,
            of_users=self.of_users + other.of_users,
            of_movies=self.of_movies + other.of_movies,
        )


@dataclass(frozen=True)
class Division:
    """The labels of some timelines, divided.

    Attributes
    ----------
    rows
        int64 `[n]`: the ratings that are labels.
    is_train, is_eval
        bool `[n]`: which of them train, and which evaluate; no label does both, and under some splits some do neither.
    left_out
        What was left out of eval as unknown.
    """

    rows: NDArray[np.int64]
    is_train: NDArray[np.bool_]
    is_eval: NDArray[np.bool_]
    left_out: LeftOut


def divide(
    timelines: Timelines, strategy: SplitStrategy, cut: int | None, known: NDArray[np.integer] | None = None
) -> Division:
    """Divide the labels of timelines.

    Parameters
    ----------
    timelines
        Whole timelines of some users.
    strategy
        The split.
    cut
        As for `SplitStrategy.is_train`.
    known
        int `[m]`: the codes of the movies that train examples show, from `shown_movies` over the whole release; None
        to leave no movie out. Only splits that are `known_only` ask.
    """
    rows = label_rows(timelines)
    is_train = strategy.is_train(timelines, rows, cut)
    is_eval = strategy.is_eval(timelines, rows, cut)
    if not strategy.known_only:
        return Division(rows, is_train, is_eval, LeftOut())
    user_of = np.cumsum(timelines.positions == 0)[rows]
    is_of_known_user = np.isin(user_of, user_of[is_train])
    is_known = is_of_known_user
    if known is not None:
        is_known = is_of_known_user & np.isin(timelines.ratings["movie"][rows], known)
    unknown_users = is_eval & ~is_of_known_user
    left_out = LeftOut(
        users=len(np.unique(user_of[unknown_users])),
        of_users=int(unknown_users.sum()),
        of_movies=int((is_eval & is_of_known_user & ~is_known).sum()),
    )
    return Division(rows, is_train, is_eval & is_known, left_out)


def shown_movies(timelines: Timelines, strategy: SplitStrategy, cut: int | None) -> NDArray[np.integer]:
    """Return the distinct movies of train labels and of all ratings before them, int `[m]`, ascending.

    Parameters are those of `divide`. A first rating is in the context of the second, so that contexts of any length
    show all of these movies where a user's train labels are the first ones.
    """
    division = divide(timelines, strategy, cut)
    labels = division.rows[division.is_train]
    user_of = np.cumsum(timelines.positions == 0) - 1
    last = np.full(len(timelines.ratings), -1)
    np.maximum.at(last, user_of[labels], labels)
    return np.unique(timelines.ratings["movie"][np.arange(len(last)) <= last[user_of]])
