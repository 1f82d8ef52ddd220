"""How popular a label is, in four buckets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.features import POPULARITY_BUCKETS
from data.timelines.value_tally import ValueTally

NUM_HEAD = 100
NUM_MIDDLE = 1_000
_UNSEEN = POPULARITY_BUCKETS.index("unseen")


@dataclass(frozen=True)
class PopularityTable:
    """The bucket of every movie that is a train label.

    Attributes
    ----------
    movie_ids
        int `[n]`, ascending.
    buckets
        int8 `[n]`: places in `POPULARITY_BUCKETS`.
    """

    movie_ids: NDArray[np.integer]
    buckets: NDArray[np.int8]

    @classmethod
    def from_counts(cls, train_labels: ValueTally) -> PopularityTable:
        """Return the table of movies ranked by their counts; of equal ones the smaller id comes first."""
        by_rank = np.lexsort((train_labels.values, -train_labels.counts))
        ranks = np.empty(len(by_rank), dtype=np.int64)
        ranks[by_rank] = np.arange(len(by_rank))
        buckets = (ranks >= NUM_HEAD).astype(np.int8) + (ranks >= NUM_MIDDLE).astype(np.int8)
        return cls(train_labels.values, buckets)

    def look_up(self, labels: NDArray[np.integer]) -> NDArray[np.int8]:
        """Return the buckets of labels, `[n]` to int8 `[n]`; labels that train never shows are `unseen`."""
        if not len(self.movie_ids):
            return np.full(len(labels), _UNSEEN, dtype=np.int8)
        places = np.minimum(np.searchsorted(self.movie_ids, labels), len(self.movie_ids) - 1)
        known = self.movie_ids[places] == labels
        return np.where(known, self.buckets[places], np.int8(_UNSEEN)).astype(np.int8)
