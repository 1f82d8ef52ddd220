"""The split by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.splits.base import CutSplit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.timelines.timelines import Timelines

_TIME_SHIFT = 32


@dataclass(frozen=True)
class TemporalSplit(CutSplit):
    """Trains on the earliest labels of the release, whosever they are.

    With `t` for the time of the label that fills train's share, train labels lie in [first, t] and eval labels in
    (t, last]: all labels at `t` train, even beyond the share. `T` is a train label, `E` an eval label, and `.` a
    first rating, which is no label. A share of two in six ends at 30:

    >>> from data.splits.drawing import draw
    >>> print(draw(TemporalSplit(train_fraction=0.3), {1: [10, 20, 30, 50], 2: [20, 30, 40, 60]}))
    time     10  20  30  40  50  60
    user 1    .   T   T       E
    user 2        .   T   E       E
    """

    name = "temporal"
    summary = "a share of all examples trains, those with the earliest labels; labels at the time of the cut train too"
    is_by_time = True
    keeps_users_order = True

    def ranks(self, timelines: Timelines, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Rank examples by their label's time, in the upper 32 bits."""
        import numpy as np

        return timelines.ratings["time"][rows].astype(np.uint64) << np.uint64(_TIME_SHIFT)

    def train_until(self, cut: int | None) -> int | None:
        """Return the time in the cut's rank."""
        return None if cut is None else cut >> _TIME_SHIFT
