"""What training reads of timelines where it reads them whole: each user's movies, and which of them train."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.timelines.timelines import Timelines

TRAIN_TIMELINE_DTYPE = np.dtype([("order", "<u8"), ("movie", "<i4"), ("is_label", "?")])
"""One rating of a train timeline. `order` is the timeline's place among all, the same in each of its rows, which lie
together in the order of time; `movie` is its code, and `is_label` says whether it is a train label."""


def train_timelines(
    timelines: Timelines, rows: NDArray[np.int64], is_train: NDArray[np.bool_], orders: NDArray[np.uint64]
) -> NDArray[np.void]:
    """Return timelines up to each user's last train label.

    What comes after it trains nothing. So under a split that keeps the users' order no held-out movie is left; under
    another one held-out movies stay where they stand before train labels, as they do in windows, and are no labels.

    Parameters
    ----------
    timelines
        Timelines of some users.
    rows
        int64 `[n]`: the ratings that are labels.
    is_train
        `[n]`: which of these train.
    orders
        uint64 `[num_timelines]`: the place of each timeline among all.

    Returns
    -------
    NDArray[np.void]
        `TRAIN_TIMELINE_DTYPE[num_ratings]`, without users who have no train label.
    """
    is_label = np.zeros(len(timelines.ratings), dtype=bool)
    is_label[rows[is_train]] = True
    timeline = np.cumsum(timelines.positions == 0) - 1
    last = np.full(len(orders), -1)
    np.maximum.at(last, timeline[is_label], np.flatnonzero(is_label))
    kept = np.flatnonzero(np.arange(len(is_label)) <= last[timeline])
    result = np.zeros(len(kept), dtype=TRAIN_TIMELINE_DTYPE)
    result["order"] = orders[timeline[kept]]
    result["movie"] = timelines.ratings["movie"][kept]
    result["is_label"] = is_label[kept]
    return result
