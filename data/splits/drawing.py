"""Splits of a few ratings as text: what the docstrings of strategies show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data.splits.base import CutSplit, SplitStrategy
from data.splits.division import divide
from data.timelines.timelines import RATING_DTYPE, build_timelines


def draw(split: SplitStrategy, users: Mapping[int, Sequence[int]]) -> str:
    """Draw timelines, a row each: `T` is a train label, `E` an eval label, `-` neither, `.` a first rating.

    Parameters
    ----------
    split
        The strategy; its share of train, if it has one, must be of one example at least.
    users
        The users, each with the times of at least two ratings, ascending and distinct.
    """
    ratings = np.array([(user, 1, 5.0, time) for user in users for time in users[user]], dtype=RATING_DTYPE)
    timelines = build_timelines(ratings, min_rating=0.0, min_timeline_length=2)
    cut = None
    if isinstance(split, CutSplit):
        ranks = np.sort(split.ranks(timelines, split.ranked_rows(timelines)))
        cut = int(ranks[round(len(ranks) * split.train_fraction) - 1])
    division = divide(timelines, split, cut)
    marks = {(user, times[0]): "." for user, times in users.items()}
    labels = np.select([division.is_train, division.is_eval], ["T", "E"], "-").tolist()
    marks.update(zip(timelines.ratings[["user", "time"]][division.rows].tolist(), labels, strict=True))
    columns = sorted({time for _, time in marks})
    lines = ["time   " + "".join(f"{time:>4}" for time in columns)]
    lines += [f"user {user:<2}" + "".join(f"{marks.get((user, time), ''):>4}" for time in columns) for user in users]
    return "\n".join(line.rstrip() for line in lines)
