"""Retrieval metrics for TensorFlow Model Analysis, from the exact ranks that the model's `evaluate` signature gives.

`components.evaluation.rank_sums` defines and computes them. With a baseline there is also the difference of both
models' recall@10 on the same queries, with its interval and the gate's rule about it: see
`components.evaluation.paired_difference`.

TFMA's own `NDCG` and `SetMatchRecall` fit neither top-k ids nor negative scores, and TFMA has no MRR.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluation.metric_names import DIFFERENCE, DIFFERENCE_HIGH, DIFFERENCE_LOW, MARGIN
from components.evaluation.paired_difference import paired_difference
from components.evaluation.rank_sums import (
    CUTOFFS,
    NDCG_CUTOFF,
    RANK_OUTPUTS,
    LabelCounts,
    RankSums,
    is_hit,
    metric_names,
)

_TOP_OUTPUT = "top_movie_id"
_SIZE_OUTPUT = "catalogue_size"
_PAD_OUTPUT = "pad_movie_id"
"""What stands in the place of a movie where fewer are left than an answer holds. Models of earlier versions, whose ids
are positive, lack it and fill up with 0."""
_TOP_COUNTS = "top_label_count"
_LABEL_COUNT = "label_count"
_ALL_COUNTS = "num_train_labels"
"""How often movies are labels in train, which models of earlier versions don't say."""


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


class _RankCombiner(beam.CombineFn):
    """Adds up ranks, and turns the sums into metrics at the end."""

    def __init__(self, keys: Sequence[tfma.metrics.MetricKey], cutoffs: Sequence[int], model_name: str) -> None:
        self._keys = keys
        self._cutoffs = cutoffs
        self._model_name = model_name

    def create_accumulator(self) -> RankSums:
        return RankSums(self._cutoffs)

    def add_input(self, accumulator: RankSums, element: tfma.metrics.StandardMetricInputs) -> RankSums:
        predictions = element.get_predictions(self._model_name)
        fillers = set(np.ravel(predictions.get(_PAD_OUTPUT, 0)).tolist())
        accumulator.add(
            {output: predictions[output] for output in RANK_OUTPUTS if output in predictions},
            set(np.ravel(predictions[_TOP_OUTPUT]).tolist()) - fillers,
            int(np.max(predictions[_SIZE_OUTPUT])),
            self._label_counts(predictions, list(fillers)),
        )
        return accumulator

    @staticmethod
    def _label_counts(predictions: Mapping[str, np.ndarray], fillers: Sequence[int | bytes]) -> LabelCounts | None:
        if _TOP_COUNTS not in predictions:
            return None
        is_movie = ~np.isin(predictions[_TOP_OUTPUT], fillers)
        return LabelCounts(
            recommended=np.asarray(predictions[_TOP_COUNTS])[is_movie],
            labels=np.ravel(predictions[_LABEL_COUNT]),
            total=int(np.max(predictions[_ALL_COUNTS])),
        )

    def merge_accumulators(self, accumulators: Iterable[RankSums]) -> RankSums:
        merged = self.create_accumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: RankSums) -> dict[tfma.metrics.MetricKey, float]:
        values = accumulator.metrics()
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
        return is_hit(np.ravel(predictions["rank"]), NDCG_CUTOFF, np.ravel(predictions[_SIZE_OUTPUT]))
