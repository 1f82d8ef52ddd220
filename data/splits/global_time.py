"""The split at one time for everybody, whose eval labels are all that come after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.splits.temporal import TemporalSplit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.timelines.timelines import Timelines


class GlobalTimeSplit(TemporalSplit):
    """Trains up to the time by which a share of all ratings were given, and evaluates on each later rating in turn.

    Unlike under `temporal` the share is one of ratings, first ones too, and who has no train label is no eval user.
    With `t` for that time, train labels lie in [first, t] and eval labels in (t, last]. `T` is a train label, `E` an
    eval label, `.` a first rating, which is no label, and `-` a label that neither trains nor evaluates. A share of
    five in ten ratings ends at 30, by when user 3 has no train label:

    >>> from data.splits.drawing import draw
    >>> print(draw(GlobalTimeSplit(train_fraction=0.5), {1: [10, 20, 30, 50], 2: [20, 30, 40, 60], 3: [50, 60]}))
    time     10  20  30  40  50  60
    user 1    .   T   T       E
    user 2        .   T   E       E
    user 3                    .   -
    """

    name = "global_time"
    summary = (
        "ratings up to a time train, by which a share of all was given; all later labels of users with a train label "
        "evaluate, but those of movies that train never shows"
    )
    known_only = True

    def ranked_rows(self, timelines: Timelines) -> NDArray[np.int64]:
        """Return all ratings: those that are no label count in the share too."""
        import numpy as np

        return np.arange(len(timelines.ratings))

    def is_eval(self, timelines: Timelines, rows: NDArray[np.int64], cut: int | None) -> NDArray[np.bool_]:
        """Return which labels are later than train's end."""
        return ~self.is_train(timelines, rows, cut)
