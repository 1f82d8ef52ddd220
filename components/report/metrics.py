"""A model's metrics as the rows of a table, the same at the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping

from components.gate_settings import ModelGateSettings
from components.report.facts import MetricRow
from components.retrieval_metrics import LIFT, RECALL

SHOWN_METRICS = (
    "recall_at_1",
    "recall_at_5",
    RECALL,
    "recall_at_50",
    "recall_at_100",
    "ndcg_at_10",
    "mrr",
    "coverage_at_10",
    LIFT,
)


def metric_rows(
    candidate: Mapping[str, float], baseline: Mapping[str, float] | None, gate: ModelGateSettings
) -> list[MetricRow]:
    """Lay a model's metrics beside popularity's, the last blessed model's, and what the gate asks."""
    required = {LIFT: gate.min_recall_at_10_lift}
    if baseline is not None:
        required[RECALL] = baseline[RECALL] - gate.max_recall_at_10_drop
    return [
        MetricRow(
            name=name,
            model=candidate[name],
            unfiltered=candidate.get(f"{name}_unfiltered"),
            popularity=candidate.get(f"{name}_popularity"),
            baseline=baseline[name] if baseline is not None else None,
            required=required.get(name),
            met=candidate[name] >= required[name] if name in required else None,
        )
        for name in SHOWN_METRICS
    ]
