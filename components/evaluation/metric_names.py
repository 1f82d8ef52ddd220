"""Names of the metrics that the gate, the report and the terminal show. They are the Evaluator's own."""

from __future__ import annotations

RECALL = "recall_at_10"
"""The metric by which the gate compares with the last blessed model."""

LIFT = "recall_at_10_lift"
"""recall@10 divided by that of train popularity: of all time or of late, whichever is higher."""

POPULARITY = "_popularity"
"""End of the names of metrics of all-time train popularity."""

RECENT_POPULARITY = "_recent_popularity"
"""End of the names of metrics of recent train popularity."""

QUERIES = "num_queries"
"""Number of queries that the metrics are of."""

DIFFERENCE = "recall_at_10_difference"
"""Candidate's recall@10 minus the baseline's on the same queries."""

DIFFERENCE_LOW = f"{DIFFERENCE}_low"
DIFFERENCE_HIGH = f"{DIFFERENCE}_high"
"""The ends of the difference's 95 % interval."""

MARGIN = "recall_at_10_margin"
"""By how much the difference passes the gate's rule; below zero it fails. See `PairedDifference.margin`."""
