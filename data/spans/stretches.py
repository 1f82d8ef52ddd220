"""Stretches of the calendar that a first file is cut by, and how they become spans."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from data.span_settings import Stretch
from data.timelines.value_tally import ValueTally

_UNITS = {"day": "D", "month": "M", "year": "Y"}
_MONDAY = 4
"""Days from Thursday, 1 January 1970, to the first Monday."""


def stretches_of(times: NDArray[np.integer], by: Stretch) -> NDArray[np.int64]:
    """Return numbers of the stretches that times lie in, `[n]` to int64 `[n]`, in UTC; weeks begin on Monday.

    >>> times = np.array(["1970-01-04T23:59:59", "1970-01-05", "1970-02-01"], "datetime64[s]").astype(np.int64)
    >>> [stretches_of(times, by).tolist() for by in ("day", "week", "month", "year")]
    [[3, 4, 31], [-1, 0, 3], [0, 0, 1], [0, 0, 0]]
    """
    seconds = times.astype(np.int64).astype("datetime64[s]")
    if by == "week":
        return (seconds.astype("datetime64[D]").astype(np.int64) - _MONDAY) // 7
    return seconds.astype(f"datetime64[{_UNITS[by]}]").astype(np.int64)


def stretch_of_day(day: date, by: Stretch) -> int:
    """Return the number of the stretch that a day lies in."""
    return int(stretches_of(np.array([day], "datetime64[s]").astype(np.int64), by)[0])


def join_stretches(labels: ValueTally, min_labels: int) -> NDArray[np.int64]:
    """Return the first stretch of each span, so that every span has enough labels.

    A stretch with too few is joined to the next one, and what is left at the end to the span before.

    Parameters
    ----------
    labels
        How many labels each stretch owns.
    min_labels
        The fewest labels of a span, where all labels together are as many.

    Returns
    -------
    NDArray[np.int64]
        int64 `[num_spans]`, ascending, at least one. Stretches before the first belong to the first span.

    Examples
    --------
    >>> join_stretches(ValueTally(np.array([3, 4, 7, 8, 9]), np.array([1, 1, 5, 2, 1])), 2).tolist()
    [3, 7, 8]
    """
    firsts, waiting = [], 0
    for stretch, count in zip(labels.values.tolist(), labels.counts.tolist(), strict=True):
        if not waiting:
            firsts.append(stretch)
        waiting = waiting + count if waiting + count < min_labels else 0
    if waiting and len(firsts) > 1:
        firsts.pop()
    return np.array(firsts or [0], dtype=np.int64)
