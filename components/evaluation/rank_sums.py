"""Retrieval metrics from the ranks of labels, by sums that are added up in any order and grouping.

With one label a query, at rank r counted from 1:

- recall@k (equal to hit rate@k) is the share of queries with r <= k, and r <= n in a catalogue of n < k movies, since
  labels that can't be offered rank n + 1;
- NDCG@k is the mean of 1 / log2(r + 1) where r <= k, else 0 (Järvelin and Kekäläinen, 2002, the ideal being 1);
- MRR is the mean of 1 / r (Voorhees, 1999);
- coverage@k is the share of the catalogue that stands in at least one query's first k;
- the lift is recall@10 divided by that of popularity: the higher of all-time train popularity's and recent one's.

All sums are of whole numbers, so that the order of queries changes no digit of a metric, and their size depends on the
cutoffs and the catalogue alone, however many the queries are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.evaluation.metric_names import LIFT, POPULARITY, QUERIES, RECENT_POPULARITY

CUTOFFS = (1, 5, 10, 50, 100)
"""The k of recall@k, the tutorial's own."""

NDCG_CUTOFF = 10
"""The k of NDCG@k, of coverage@k and of the lift."""

RANK_OUTPUTS = {
    "rank": "",
    "rank_unfiltered": "_unfiltered",
    "rank_popularity": POPULARITY,
    "rank_recent_popularity": RECENT_POPULARITY,
}
"""Outputs of the signature that hold ranks, and what their metrics' names end in. Models of earlier versions lack the
last one."""

_FLOORS = ("rank_popularity", "rank_recent_popularity")

_MEASURED = "rank"

_UNIT = 1 << 52
"""Reciprocal ranks are added up as whole numbers of 1 / `_UNIT`: each is off by less than 2.3e-16."""


def metric_names(cutoffs: Sequence[int] = CUTOFFS) -> list[str]:
    """Return the names of all metrics, in the order in which they are shown."""
    names = [f"recall_at_{k}{suffix}" for suffix in RANK_OUTPUTS.values() for k in cutoffs]
    return [*names, f"ndcg_at_{NDCG_CUTOFF}", "mrr", f"coverage_at_{NDCG_CUTOFF}", LIFT, QUERIES]


def is_hit(ranks: NDArray[np.int64], k: int, catalogue_size: NDArray[np.int64] | int) -> NDArray[np.bool_]:
    """Return whether labels stand among the first k; one that can't be offered ranks behind the whole catalogue."""
    return ranks <= np.minimum(k, catalogue_size)


@dataclass
class RankSums:
    """What the metrics of some queries are made from.

    Attributes
    ----------
    cutoffs
        The k of recall@k.
    counts
        For each key of `RANK_OUTPUTS` how many queries have which rank, int64 `[k + 2]` for the largest k that any
        metric asks for; the last place counts all ranks beyond it.
    reciprocals
        Sum of 1 / rank, in units of 1 / `_UNIT`.
    recommended
        The distinct movies that stand in any query's first ten.
    catalogue_size
        Movies that could be recommended.
    """

    cutoffs: Sequence[int] = CUTOFFS
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    reciprocals: int = 0
    recommended: set[int | bytes] = field(default_factory=set)
    catalogue_size: int = 0

    def __post_init__(self) -> None:
        """Begin with no query."""
        for output in RANK_OUTPUTS:
            self.counts.setdefault(output, np.zeros(self._beyond + 1, np.int64))

    @property
    def _beyond(self) -> int:
        """The first rank that no cutoff reaches."""
        return max(*self.cutoffs, NDCG_CUTOFF) + 1

    def add(self, ranks: Mapping[str, ArrayLike], recommended: Iterable[int | bytes], catalogue_size: int) -> None:
        """Add queries.

        Parameters
        ----------
        ranks
            For keys of `RANK_OUTPUTS` int `[num_queries]`, counted from 1; without those that the model doesn't have.
        recommended
            Movies that stand in their first ten.
        catalogue_size
            Movies that could be recommended to them.
        """
        for output, counts in self.counts.items():
            near = np.minimum(np.ravel(ranks.get(output, ())).astype(np.int64), self._beyond)
            counts += np.bincount(near, minlength=len(counts))
        exact = np.ravel(ranks[_MEASURED]).astype(np.float64)
        self.reciprocals += sum(np.rint(_UNIT / exact).astype(np.int64).tolist())
        self.recommended.update(recommended)
        self.catalogue_size = max(self.catalogue_size, catalogue_size)

    def merge(self, other: RankSums) -> None:
        """Add what another one has added up."""
        for output, counts in self.counts.items():
            counts += other.counts[output]
        self.reciprocals += other.reciprocals
        self.recommended |= other.recommended
        self.catalogue_size = max(self.catalogue_size, other.catalogue_size)

    def metrics(self) -> dict[str, float]:
        """Return metric values by name.

        Without a query they are NaN, but for the number of queries, and so are those of an output that the model
        doesn't have. The lift over a popularity that never hits is taken as if it had hit once.
        """
        num_queries = int(self.counts[_MEASURED].sum())
        if num_queries == 0:
            return {**dict.fromkeys(metric_names(self.cutoffs), math.nan), QUERIES: 0.0}
        values = {
            f"recall_at_{k}{suffix}": self._recall(output, k)
            for output, suffix in RANK_OUTPUTS.items()
            for k in self.cutoffs
        }
        reached = np.arange(1, min(NDCG_CUTOFF, self.catalogue_size) + 1)
        gains = self.counts[_MEASURED][reached] / np.log2(reached + 1)
        values[f"ndcg_at_{NDCG_CUTOFF}"] = float(gains.sum()) / num_queries
        values["mrr"] = self.reciprocals / _UNIT / num_queries
        values[f"coverage_at_{NDCG_CUTOFF}"] = len(self.recommended) / self.catalogue_size
        floors = [self._recall(output, NDCG_CUTOFF) for output in _FLOORS]
        floor = max([1 / num_queries, *(recall for recall in floors if not math.isnan(recall))])
        values[LIFT] = self._recall(_MEASURED, NDCG_CUTOFF) / floor
        values[QUERIES] = float(num_queries)
        return values

    def _recall(self, output: str, k: int) -> float:
        counts = self.counts[output]
        num_queries = int(counts.sum())
        return int(counts[: min(k, self.catalogue_size) + 1].sum()) / num_queries if num_queries else math.nan
