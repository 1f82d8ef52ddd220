"""Retrieval metrics for TensorFlow Model Analysis, from the exact ranks that the model's `evaluate` signature gives.

With one label a query, at rank r counted from 1:

- recall@k (equal to hit rate@k) is the share of queries with r <= k, and r <= n in a catalogue of n < k movies, since
  labels that can't be offered rank n + 1;
- NDCG@k is the mean of 1 / log2(r + 1) where r <= k, else 0 (Järvelin and Kekäläinen, 2002, the ideal being 1);
- MRR is the mean of 1 / r (Voorhees, 1999);
- coverage@k is the share of the catalogue that stands in at least one query's first k;
- the lift is recall@10 divided by that of popularity: the higher of all-time train popularity's and recent one's.

With a baseline there is also the difference of both models' recall@10 on the same queries, with its interval and the
gate's rule about it: see `components.evaluation.paired_difference`.

TFMA's own `NDCG` and `SetMatchRecall` fit neither top-k ids nor negative scores, and TFMA has no MRR.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluation.metric_names import (
    DIFFERENCE,
    DIFFERENCE_HIGH,
    DIFFERENCE_LOW,
    LIFT,
    MARGIN,
    POPULARITY,
    QUERIES,
    RECENT_POPULARITY,
)
from components.evaluation.paired_difference import paired_difference

CUTOFFS = (1, 5, 10, 50, 100)
"""The k of recall@k, the tutorial's own."""

NDCG_CUTOFF = 10
"""The k of NDCG@k and coverage@k."""

RANK_OUTPUTS = {
    "rank": "",
    "rank_unfiltered": "_unfiltered",
    "rank_popularity": POPULARITY,
    "rank_recent_popularity": RECENT_POPULARITY,
}
"""Outputs of the signature that hold ranks, and what their metrics' names end in. Models of earlier versions lack the
last one."""

_FLOORS = ("rank_popularity", "rank_recent_popularity")
_TOP_OUTPUT = "top_movie_id"
_SIZE_OUTPUT = "catalogue_size"
_PAD_OUTPUT = "pad_movie_id"
"""What stands in the place of a movie where fewer are left than an answer holds. Models of earlier versions, whose ids
are positive, lack it and fill up with 0."""


def metric_names(cutoffs: Sequence[int] = CUTOFFS) -> list[str]:
    """Return the names of all metrics, in the order in which they are shown."""
    names = [f"recall_at_{k}{suffix}" for suffix in RANK_OUTPUTS.values() for k in cutoffs]
    return [*names, f"ndcg_at_{NDCG_CUTOFF}", "mrr", f"coverage_at_{NDCG_CUTOFF}", LIFT, QUERIES]


def metrics_from_ranks(
    ranks: dict[str, np.ndarray], recommended: Iterable[int | bytes], catalogue_size: int, cutoffs: Sequence[int]
) -> dict[str, float]:
    """Compute every metric of a set of queries.

    Parameters
    ----------
    ranks
        For each key of `RANK_OUTPUTS` int `[num_queries]`, counted from 1; an empty array for one that the model
        doesn't have.
    recommended
        The distinct movies that stand in any query's first ten.
    catalogue_size
        Movies that could be recommended.
    cutoffs
        The k of recall@k.

    Returns
    -------
    dict
        Metric values by name; NaN for all but the number of queries where there is none. The lift over a popularity
        that never hits is taken as if it had hit once.
    """
    num_queries = len(ranks["rank"])
    if num_queries == 0:
        return {**dict.fromkeys(metric_names(cutoffs), float("nan")), QUERIES: 0.0}
    values = {
        f"recall_at_{k}{suffix}": float(np.mean(_is_hit(ranks[output], k, catalogue_size)))
        if len(ranks[output])
        else float("nan")
        for output, suffix in RANK_OUTPUTS.items()
        for k in cutoffs
    }
    values[QUERIES] = float(num_queries)
    rank = ranks["rank"].astype(np.float64)
    hit = _is_hit(ranks["rank"], NDCG_CUTOFF, catalogue_size)
    values[f"ndcg_at_{NDCG_CUTOFF}"] = float(np.mean(np.where(hit, 1 / np.log2(rank + 1), 0)))
    values["mrr"] = float(np.mean(1 / rank))
    values[f"coverage_at_{NDCG_CUTOFF}"] = len(set(recommended)) / catalogue_size
    floors = [
        float(np.mean(_is_hit(ranks[output], NDCG_CUTOFF, catalogue_size))) for output in _FLOORS if len(ranks[output])
    ]
    values[LIFT] = float(np.mean(hit)) / max(*floors, 1 / num_queries)
    return values


def _is_hit(rank: np.ndarray, k: int, catalogue_size: np.ndarray | int) -> np.ndarray:
    """Return whether labels stand among the first k; one that can't be offered ranks behind the whole catalogue."""
    return rank <= np.minimum(k, catalogue_size)


class RetrievalMetrics(tfma.metrics.Metric):
    """All retrieval metrics in one combiner, which TFMA calls once for each example or group of examples.

    Parameters
    ----------
    cutoffs
        The k of recall@k.
    allowed_drop, non_inferior
        The gate's rule about the difference to the baseline: see `PairedDifference.margin`.
    code_digest
        Digest of the code that computes the metrics. It changes nothing but the Evaluator's cache key: TFX
        doesn't see that the code changed.
    """

    def __init__(
        self,
        cutoffs: Sequence[int] = CUTOFFS,
        allowed_drop: float = 0.0,
        non_inferior: bool = False,
        code_digest: str = "",
    ) -> None:
        super().__init__(
            _computations,
            name="retrieval_metrics",
            cutoffs=tuple(cutoffs),
            allowed_drop=allowed_drop,
            non_inferior=non_inferior,
            code_digest=code_digest,
        )


def _computations(
    cutoffs: Sequence[int],
    allowed_drop: float,
    non_inferior: bool,
    code_digest: str,
    name: str | None = None,
    eval_config: tfma.EvalConfig | None = None,
    model_names: Sequence[str] = ("",),
    output_names: Sequence[str] = ("",),
    sub_keys: Sequence[Any] | None = None,
    example_weighted: bool = False,
    query_key: str = "",
) -> list[tfma.metrics.MetricComputation]:
    """Return one computation for each model and, with a baseline, one for the difference to it, as TFMA asks."""
    baseline = next((spec.name for spec in eval_config.model_specs if spec.is_baseline), None) if eval_config else None
    computations = []
    for model_name in model_names:
        for output_name in output_names:
            keys = [
                # TFMA looks for the metrics of a specification's own thresholds under "weighted: unknown".
                tfma.metrics.MetricKey(
                    name=metric, model_name=model_name, output_name=output_name, example_weighted=None
                )
                for metric in metric_names(cutoffs)
            ]
            computations.append(
                tfma.metrics.MetricComputation(
                    keys=keys, preprocessors=None, combiner=_RankCombiner(keys, tuple(cutoffs), model_name)
                )
            )
            if baseline is None or model_name == baseline:
                continue
            keys = [
                tfma.metrics.MetricKey(
                    name=metric, model_name=model_name, output_name=output_name, example_weighted=None, is_diff=True
                )
                for metric in (DIFFERENCE, DIFFERENCE_LOW, DIFFERENCE_HIGH, MARGIN)
            ]
            combiner = _DifferenceCombiner(keys, model_name, baseline, allowed_drop, non_inferior)
            computations.append(tfma.metrics.MetricComputation(keys=keys, preprocessors=None, combiner=combiner))
    return computations


@dataclass
class _Seen:
    """State of a combiner: one rank a query and output, and the movies recommended."""

    ranks: dict[str, list[int]] = field(default_factory=lambda: {output: [] for output in RANK_OUTPUTS})
    recommended: set[int | bytes] = field(default_factory=set)
    catalogue_size: int = 0


class _RankCombiner(beam.CombineFn):
    """Collects ranks, and turns them into metrics at the end."""

    def __init__(self, keys: Sequence[tfma.metrics.MetricKey], cutoffs: Sequence[int], model_name: str) -> None:
        self._keys = keys
        self._cutoffs = cutoffs
        self._model_name = model_name

    def create_accumulator(self) -> _Seen:
        return _Seen()

    def add_input(self, accumulator: _Seen, element: tfma.metrics.StandardMetricInputs) -> _Seen:
        predictions = element.get_predictions(self._model_name)
        for output, ranks in accumulator.ranks.items():
            ranks.extend(np.ravel(predictions.get(output, ())).tolist())
        fillers = set(np.ravel(predictions.get(_PAD_OUTPUT, 0)).tolist())
        accumulator.recommended.update(set(np.ravel(predictions[_TOP_OUTPUT]).tolist()) - fillers)
        accumulator.catalogue_size = int(np.max(predictions[_SIZE_OUTPUT]))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Seen]) -> _Seen:
        merged = _Seen()
        for accumulator in accumulators:
            for output, ranks in merged.ranks.items():
                ranks.extend(accumulator.ranks[output])
            merged.recommended |= accumulator.recommended
            merged.catalogue_size = max(merged.catalogue_size, accumulator.catalogue_size)
        return merged

    def extract_output(self, accumulator: _Seen) -> dict[tfma.metrics.MetricKey, float]:
        ranks = {output: np.array(of_output, np.int64) for output, of_output in accumulator.ranks.items()}
        values = metrics_from_ranks(ranks, accumulator.recommended, accumulator.catalogue_size, self._cutoffs)
        return {key: values[key.name] for key in self._keys}


@dataclass
class _Pairs:
    """Sums over queries that two models answered; `total` and `squares` as for `paired_difference`."""

    queries: int = 0
    total: int = 0
    squares: int = 0


class _DifferenceCombiner(beam.CombineFn):
    """Adds up on which queries only one of two models hits, and turns the sums into the difference of their recall."""

    def __init__(
        self,
        keys: Sequence[tfma.metrics.MetricKey],
        candidate: str,
        baseline: str,
        allowed_drop: float,
        non_inferior: bool,
    ) -> None:
        self._keys = keys
        self._candidate = candidate
        self._baseline = baseline
        self._allowed_drop = allowed_drop
        self._non_inferior = non_inferior

    def create_accumulator(self) -> _Pairs:
        return _Pairs()

    def add_input(self, accumulator: _Pairs, element: tfma.metrics.StandardMetricInputs) -> _Pairs:
        gained = self._hits(element, self._candidate).astype(np.int64) - self._hits(element, self._baseline)
        accumulator.queries += len(gained)
        accumulator.total += int(gained.sum())
        accumulator.squares += int(np.abs(gained).sum())
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Pairs]) -> _Pairs:
        merged = _Pairs()
        for accumulator in accumulators:
            merged.queries += accumulator.queries
            merged.total += accumulator.total
            merged.squares += accumulator.squares
        return merged

    def extract_output(self, accumulator: _Pairs) -> dict[tfma.metrics.MetricKey, float]:
        found = paired_difference(accumulator.queries, accumulator.total, accumulator.squares)
        values = {
            DIFFERENCE: found.mean,
            DIFFERENCE_LOW: found.low,
            DIFFERENCE_HIGH: found.high,
            MARGIN: found.margin(self._allowed_drop, non_inferior=self._non_inferior),
        }
        return {key: values[key.name] for key in self._keys}

    @staticmethod
    def _hits(element: tfma.metrics.StandardMetricInputs, model_name: str) -> np.ndarray:
        """Return whether each query's label is among the first ten, bool `[num_queries]`."""
        predictions = element.get_predictions(model_name)
        return _is_hit(np.ravel(predictions["rank"]), NDCG_CUTOFF, np.ravel(predictions[_SIZE_OUTPUT]))
