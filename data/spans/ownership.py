"""Which span a label belongs to, and what of a timeline the windows of a span need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.timelines.timelines import PART_DTYPE, Timelines

NO_SPAN = -1
"""Of a rating that is no label."""


def owners(timelines: Timelines, min_timeline_length: int) -> NDArray[np.int32]:
    """Return the spans that own the labels of timelines: the first with which each becomes a label.

    A label needs its own event, one before it in the order of time, and `min_timeline_length` events of its user. The
    span is the last of those with which the first of each arrived.

    Parameters
    ----------
    timelines
        Whole timelines, each of at least `min_timeline_length` events, with the spans of these as `span`.
    min_timeline_length
        The fewest events that a user needs.

    Returns
    -------
    NDArray[np.int32]
        `[num_ratings]`: the spans; `NO_SPAN` for each user's first event.
    """
    spans, users = timelines.ratings["span"].astype(np.int64), timelines.user_numbers
    if not len(spans):
        return np.empty(0, dtype=np.int32)
    by_arrival = spans[np.lexsort((spans, users))]
    reached = by_arrival[np.flatnonzero(timelines.positions == 0) + min_timeline_length - 1][users]
    # The least span up to each row: another user's rows all count as more than those of the users behind.
    below = users * (spans.max() - spans.min() + 1)
    least = np.minimum.accumulate(spans - below) + below
    owner = np.full(len(spans), NO_SPAN, dtype=np.int32)
    is_label = timelines.positions >= 1
    rows = np.flatnonzero(is_label)
    owner[rows] = np.maximum(np.maximum(spans, reached)[rows], least[rows - 1])
    return owner


def part_of(timelines: Timelines, is_label: NDArray[np.bool_], max_context_length: int) -> NDArray[np.void]:
    """Return the rows that the windows of some labels are made of.

    Parameters
    ----------
    timelines
        Whole timelines.
    is_label
        bool `[num_ratings]`: the labels.
    max_context_length
        How many events before a label belong to its window.

    Returns
    -------
    NDArray[np.void]
        `PART_DTYPE[n]`, in their order.
    """
    rows = np.flatnonzero(is_label)
    firsts = rows - np.minimum(timelines.positions[rows], max_context_length)
    edges = np.zeros(len(is_label) + 1, dtype=np.int64)
    np.add.at(edges, firsts, 1)
    np.add.at(edges, rows + 1, -1)
    kept = np.flatnonzero(np.cumsum(edges[:-1]))
    part = np.empty(len(kept), dtype=PART_DTYPE)
    for name in ("user", "movie", "stars", "time"):
        part[name] = timelines.ratings[name][kept]
    part["position"] = timelines.positions[kept]
    part["is_label"] = is_label[kept]
    return part
