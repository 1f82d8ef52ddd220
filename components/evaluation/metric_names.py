"""Names of the metrics that the gate, the report and the terminal show. They are the Evaluator's own."""

from __future__ import annotations

RECALL = "recall_at_10"
"""The metric by which the gate compares with an earlier model."""

NDCG = "ndcg_at_10"

LIFT = "recall_at_10_lift"
"""recall@10 divided by that of train popularity: of all time or of late, whichever is higher."""

POPULARITY = "_popularity"
"""End of the names of metrics of all-time train popularity."""

RECENT_POPULARITY = "_recent_popularity"
"""End of the names of metrics of recent train popularity."""

QUERIES = "num_queries"
"""Number of queries that the metrics are of."""

CANDIDATES = "num_candidates"
"""Number of movies that are ranked for each query: the model's catalogue, before the context's own are left out."""

NOVELTY = "novelty_at_10"
POPULARITY_BIAS = "popularity_bias_at_10"
"""How well known the recommended movies are: see `components.evaluation.rank_sums`."""

DIFFERENCE = "recall_at_10_difference"
"""Candidate's recall@10 minus the baseline's on the same queries."""

DIFFERENCE_LOW = f"{DIFFERENCE}_low"
DIFFERENCE_HIGH = f"{DIFFERENCE}_high"
"""The ends of the difference's 95 % interval."""

MARGIN = "recall_at_10_margin"
"""By how much the difference passes the gate's rule; below zero it fails. See `PairedDifference.margin`."""
