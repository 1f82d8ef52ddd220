"""The split that holds out each user's last example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.splits.base import SplitStrategy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.timelines.timelines import Timelines


@dataclass(frozen=True)
class LeaveOneOutSplit(SplitStrategy):
    """Holds out each user's last example and trains on the others.

    Of a timeline of `n` ratings, train labels are at the positions [1, n - 1) and the eval label at n - 1. `T` is a
    train label, `E` an eval label, and `.` a first rating, which is no label:

    >>> from data.splits.drawing import draw
    >>> print(draw(LeaveOneOutSplit(), {1: [10, 20, 30, 50], 2: [20, 30, 40, 60]}))
    time     10  20  30  40  50  60
    user 1    .   T   T       E
    user 2        .   T   T       E
    """

    name = "leave_one_out"
    summary = "all examples train but each user's last, whatever the share"
    keeps_users_order = True

    def is_train(self, timelines: Timelines, rows: NDArray[np.int64], cut: int | None) -> NDArray[np.bool_]:
        """Return which examples are not their user's last; there is no cut."""
        return ~timelines.is_last[rows]
