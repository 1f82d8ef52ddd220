"""Retrieval metrics from the ranks of labels, by sums that are added up in any order and grouping.

With one label a query, at rank r counted from 1:

- recall@k (equal to hit rate@k) is the share of queries with r <= k, and r <= n in a catalogue of n < k movies, since
  labels that can't be offered rank n + 1;
- NDCG@k is the mean of 1 / log2(r + 1) where r <= k, else 0 (Järvelin and Kekäläinen, 2002, the ideal being 1);
- MRR is the mean of 1 / r (Voorhees, 1999);
- coverage@k is the share of the catalogue that stands in at least one query's first k;
- novelty@k is the mean, over the movies in the queries' first k, of their self-information -log2(c / n), in bits, for a
  movie that is c of n train labels, c being taken for 1 where it is 0 (Zhou et al., "Solving the apparent
  diversity-accuracy dilemma of recommender systems", PNAS 107, 2010; with labels in the place of users): by how
  many halvings of the chance a random train label is that movie;
- popularity bias@k is the mean of c over the movies in the queries' first k, the average recommendation popularity (Yin
  et al., "Challenging the long tail recommendation", VLDB 5, 2012), divided by the mean of c over the queries' labels:
  1 where what is recommended is as popular as what was really taken, more where it is more popular;
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

from components.evaluation.metric_names import (
    CANDIDATES,
    LIFT,
    NOVELTY,
    POPULARITY,
    POPULARITY_BIAS,
    QUERIES,
    RECENT_POPULARITY,
)

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
"""Reciprocal ranks and bits are added up as whole numbers of 1 / `_UNIT`: a reciprocal is off by less than 2.3e-16."""


def metric_names(cutoffs: Sequence[int] = CUTOFFS) -> list[str]:
    """Return the names of all metrics, in the order in which they are shown."""
    names = [f"recall_at_{k}{suffix}" for suffix in RANK_OUTPUTS.values() for k in cutoffs]
    shares = [f"ndcg_at_{NDCG_CUTOFF}", "mrr", f"coverage_at_{NDCG_CUTOFF}"]
    return [*names, *shares, NOVELTY, POPULARITY_BIAS, LIFT, QUERIES, CANDIDATES]


def is_hit(ranks: NDArray[np.int64], k: int, catalogue_size: NDArray[np.int64] | int) -> NDArray[np.bool_]:
    """Return whether labels stand among the first k; one that can't be offered ranks behind the whole catalogue."""
    return ranks <= np.minimum(k, catalogue_size)


@dataclass(frozen=True)
class LabelCounts:
    """How often movies are labels in train.

    Attributes
    ----------
    recommended
        int64 `[n]`: those in the queries' first ten, each as often as it is recommended.
    labels
        int64 `[num_queries]`: the queries' own labels.
    total
        Of all movies together.
    """

    recommended: NDArray[np.int64]
    labels: NDArray[np.int64]
    total: int


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
    information
        Sum of the recommended movies' self-information, in units of 1 / `_UNIT` bits.
    num_recommended, recommended_counts
        How many movies that sum is over, and how often they are labels in train, together.
    label_counts
        How often the queries' labels are labels in train, together.
    """

    cutoffs: Sequence[int] = CUTOFFS
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    reciprocals: int = 0
    recommended: set[int | bytes] = field(default_factory=set)
    catalogue_size: int = 0
    information: int = 0
    num_recommended: int = 0
    recommended_counts: int = 0
    label_counts: int = 0

    def __post_init__(self) -> None:
        """Begin with no query."""
        for output in RANK_OUTPUTS:
            self.counts.setdefault(output, np.zeros(self._beyond + 1, np.int64))

    @property
    def _beyond(self) -> int:
        """The first rank that no cutoff reaches."""
        return max(*self.cutoffs, NDCG_CUTOFF) + 1

    def add(
        self,
        ranks: Mapping[str, ArrayLike],
        recommended: Iterable[int | bytes],
        catalogue_size: int,
        label_counts: LabelCounts | None = None,
    ) -> None:
        """Add queries.

        Parameters
        ----------
        ranks
            For keys of `RANK_OUTPUTS` int `[num_queries]`, counted from 1; without those that the model doesn't have.
        recommended
            Movies that stand in their first ten.
        catalogue_size
            Movies that could be recommended to them.
        label_counts
            How well known movies are; None from models of earlier versions, which don't say.
        """
        for output, counts in self.counts.items():
            near = np.minimum(np.ravel(ranks.get(output, ())).astype(np.int64), self._beyond)
            counts += np.bincount(near, minlength=len(counts))
        exact = np.ravel(ranks[_MEASURED]).astype(np.float64)
        self.reciprocals += sum(np.rint(_UNIT / exact).astype(np.int64).tolist())
        self.recommended.update(recommended)
        self.catalogue_size = max(self.catalogue_size, catalogue_size)
        if label_counts is not None:
            shares = np.maximum(label_counts.recommended, 1) / max(label_counts.total, 1)
            self.information += sum(np.rint(-_UNIT * np.log2(shares)).astype(np.int64).tolist())
            self.num_recommended += len(label_counts.recommended)
            self.recommended_counts += int(label_counts.recommended.sum())
            self.label_counts += int(label_counts.labels.sum())

    def merge(self, other: RankSums) -> None:
        """Add what another one has added up."""
        for output, counts in self.counts.items():
            counts += other.counts[output]
        self.reciprocals += other.reciprocals
        self.recommended |= other.recommended
        self.catalogue_size = max(self.catalogue_size, other.catalogue_size)
        self.information += other.information
        self.num_recommended += other.num_recommended
        self.recommended_counts += other.recommended_counts
        self.label_counts += other.label_counts

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
        values[NOVELTY] = self.information / _UNIT / self.num_recommended if self.num_recommended else math.nan
        values[POPULARITY_BIAS] = (
            self.recommended_counts / self.num_recommended / (self.label_counts / num_queries)
            if self.num_recommended and self.label_counts
            else math.nan
        )
        values[QUERIES] = float(num_queries)
        values[CANDIDATES] = float(self.catalogue_size)
        return values

    def _recall(self, output: str, k: int) -> float:
        counts = self.counts[output]
        num_queries = int(counts.sum())
        return int(counts[: min(k, self.catalogue_size) + 1].sum()) / num_queries if num_queries else math.nan
