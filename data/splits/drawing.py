"""Splits of a few ratings as text: what the docstrings of strategies show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data.splits.base import CutSplit, SplitStrategy
from data.timelines.timelines import RATING_DTYPE, build_timelines
from data.timelines.windows import label_rows


def draw(split: SplitStrategy, users: Mapping[int, Sequence[int]]) -> str:
    """Draw timelines, a row each: `T` is a train label, `E` an eval label, `.` a first rating.

    Parameters
    ----------
    split
        The strategy; its share of train, if it has one, must be of one example at least.
    users
        The users, each with the times of at least two ratings, ascending and distinct.
    """
    ratings = np.array([(user, 1, 5.0, time) for user in users for time in users[user]], dtype=RATING_DTYPE)
    timelines = build_timelines(ratings, min_rating=0.0, min_timeline_length=2)
    rows = label_rows(timelines)
    cut = None
    if isinstance(split, CutSplit):
        cut = int(np.sort(split.ranks(timelines, rows))[round(len(rows) * split.train_fraction) - 1])
    marks = {(user, times[0]): "." for user, times in users.items()}
    labels = np.where(split.is_train(timelines, rows, cut), "T", "E").tolist()
    marks.update(zip(timelines.ratings[["user", "time"]][rows].tolist(), labels, strict=True))
    columns = sorted({time for _, time in marks})
    lines = ["time   " + "".join(f"{time:>4}" for time in columns)]
    lines += [f"user {user:<2}" + "".join(f"{marks.get((user, time), ''):>4}" for time in columns) for user in users]
    return "\n".join(line.rstrip() for line in lines)
