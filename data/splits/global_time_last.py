"""The split at one time for everybody, whose eval labels are each user's last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.splits.global_time import GlobalTimeSplit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.timelines.timelines import Timelines


class GlobalTimeLastSplit(GlobalTimeSplit):
    """Trains as `global_time` does, and evaluates on each user's last rating, if it is later than train's end.

    `T` is a train label, `E` an eval label, `.` a first rating, which is no label, and `-` a label that neither trains
    nor evaluates. A share of five in ten ratings ends at 30:

    >>> from data.splits.drawing import draw
    >>> print(draw(GlobalTimeLastSplit(train_fraction=0.5), {1: [10, 20, 30, 50], 2: [20, 30, 40, 60], 3: [50, 60]}))
    time     10  20  30  40  50  60
    user 1    .   T   T       E
    user 2        .   T   -       E
    user 3                    .   -
    """

    name = "global_time_last"
    summary = (
        "as global-time, but of each user only the last label evaluates, if it is later than train's end; labels "
        "between neither train nor evaluate"
    )

    def is_eval(self, timelines: Timelines, rows: NDArray[np.int64], cut: int | None) -> NDArray[np.bool_]:
        """Return which labels are later than train's end and their user's last."""
        return super().is_eval(timelines, rows, cut) & timelines.is_last[rows]
