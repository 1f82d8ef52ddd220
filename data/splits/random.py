"""The random split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.splits.base import CutSplit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.timelines.timelines import Timelines


@dataclass(frozen=True)
class RandomSplit(CutSplit):
    """Trains on examples by chance, wherever in a timeline they lie.

    Ranks are keyed hashes in [0, 2**64), without ties: train is [0, cut], exactly `round(n * train_fraction)` of `n`
    examples, and eval is (cut, 2**64). Neither is an interval of time. `T` is a train label, `E` an eval label, and
    `.` a first rating, which is no label:

    >>> from data.splits.drawing import draw
    >>> users = {1: [10, 20, 30, 50], 2: [20, 30, 40, 60]}
    >>> print(draw(RandomSplit(train_fraction=0.7, seed=42), users))
    time     10  20  30  40  50  60
    user 1    .   T   E       T
    user 2        .   T   T       E
    >>> print(draw(RandomSplit(train_fraction=0.7, seed=43), users))
    time     10  20  30  40  50  60
    user 1    .   T   T       T
    user 2        .   E   T       E

    Attributes
    ----------
    seed
        The key of the hash.
    """

    name = "random"
    summary = "a share of all examples trains, by a keyed hash of seed, user and position"
    caveat = (
        "The split is random by example, as in the TFRS tutorial: train holds other examples of the same users, "
        "later ones too, so that the figures are higher than they would be for a future that nobody has seen."
    )
    seed: int

    def ranks(self, timelines: Timelines, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Rank examples by the keyed hash of user and position."""
        from data.splits.ranks import example_keys
        from data.timelines.hashing import keyed_hash

        return keyed_hash(example_keys(timelines, rows), self.seed)
