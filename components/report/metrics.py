"""A model's metrics as the rows of a table, the same at the terminal and on the page."""

from __future__ import annotations

from components.evaluation.evaluation_result import EvaluationResult
from components.evaluation.metric_names import (
    LIFT,
    NOVELTY,
    POPULARITY,
    POPULARITY_BIAS,
    QUERIES,
    RECALL,
    RECENT_POPULARITY,
)
from components.report.report_model import MetricRow

SHOWN_METRICS = (
    "recall_at_1",
    "recall_at_5",
    RECALL,
    "recall_at_50",
    "recall_at_100",
    "ndcg_at_10",
    "mrr",
    "coverage_at_10",
    NOVELTY,
    POPULARITY_BIAS,
    LIFT,
)


_NONE = (None, None)

_SHARES = tuple(name for name in SHOWN_METRICS if name.removeprefix("recall_at_").isdecimal())
"""Metrics that are shares of queries."""


def share_interval(share: float, queries: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of independent queries, by Wilson's score (JASA 22, 1927).

    >>> low, high = share_interval(0.1, 100)
    >>> f"{low:.4f} {high:.4f}"
    '0.0552 0.1744'
    """
    # Takes its time to import.
    from scipy.stats import binomtest

    found = binomtest(round(share * queries), queries).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def metric_rows(evaluation_result: EvaluationResult) -> list[MetricRow]:
    """Return a model's metrics beside popularity's, the other model's, and what the gate asks of all queries."""
    evaluation = evaluation_result.evaluation
    candidate, baseline = evaluation.candidate, evaluation.baseline
    asked = {check.kind: check for check in evaluation_result.checks if check.where is None}
    queries = round(candidate[QUERIES])
    intervals = {name: share_interval(candidate[name], queries) for name in _SHARES} if queries else {}
    return [
        MetricRow(
            name=name,
            # An evaluation of an earlier version lacks what was measured later.
            model=candidate.get(name),
            low=intervals.get(name, _NONE)[0],
            high=intervals.get(name, _NONE)[1],
            unfiltered=candidate.get(f"{name}_unfiltered"),
            popularity=candidate.get(f"{name}{POPULARITY}"),
            recent_popularity=candidate.get(f"{name}{RECENT_POPULARITY}"),
            baseline=baseline.get(name) if baseline is not None else None,
            required=asked[name].allowed if name in asked else None,
            met=asked[name].met if name in asked else None,
        )
        for name in SHOWN_METRICS
    ]
