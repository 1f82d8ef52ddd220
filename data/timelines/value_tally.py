"""How often values occur, added up from parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ValueTally:
    """How often each of some values occurs.

    Attributes
    ----------
    values
        `[n]`: distinct, ascending.
    counts
        int64 `[n]`.
    """

    values: NDArray[np.integer]
    counts: NDArray[np.int64]

    @classmethod
    def nothing(cls) -> ValueTally:
        """Return the count of no values."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    @classmethod
    def of(cls, values: NDArray[np.integer]) -> ValueTally:
        """Count values of any order."""
        distinct, counts = np.unique(values, return_counts=True)
        return cls(distinct, counts.astype(np.int64))

    @classmethod
    def added_up(cls, values: NDArray[np.integer], counts: NDArray[np.int64]) -> ValueTally:
        """Add up the counts `[n]` of equal values `[n]`, which may come in any order."""
        distinct, places = np.unique(values, return_inverse=True)
        sums = np.zeros(len(distinct), dtype=np.int64)
        np.add.at(sums, places.ravel(), counts)
        return cls(distinct, sums)

    def merge(self, other: ValueTally) -> ValueTally:
        """Add up two counts."""
        # An empty one has no say in the type: numpy would make floats of unsigned and signed numbers.
        if not len(self.values) or not len(other.values):
            return self if len(self.values) else other
        return ValueTally.added_up(
            np.concatenate([self.values, other.values]), np.concatenate([self.counts, other.counts])
        )
