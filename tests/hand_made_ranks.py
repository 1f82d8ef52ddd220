"""Four queries' ranks, and their metrics by hand."""

from __future__ import annotations

import math

import numpy as np

OUTPUTS = ("rank", "rank_unfiltered", "rank_popularity", "rank_recent_popularity")
SIZE = 800
QUERIES = [
    # rank, unfiltered, popularity, recent popularity, the first movies of the answer
    (1, 2, 5, 60, [11, 12]),
    (3, 4, 20, 2, [11, 13]),
    (11, 12, 30, 70, [12, 14]),
    (200, 200, 1, 80, [11, 12]),
]
COUNTS = {11: 8, 12: 4, 13: 1, 14: 0}
"""How often the movies of the answers are labels in train."""
COUNT_OF_RANKED = {1: 8, 3: 2, 11: 1, 200: 0}
"""How often the label at a rank is one."""
TOTAL = 16
BY_HAND = {
    "recall_at_1": 1 / 4,
    "recall_at_5": 2 / 4,
    "recall_at_10": 2 / 4,
    "recall_at_50": 3 / 4,
    "recall_at_100": 3 / 4,
    "recall_at_1_unfiltered": 0,
    "recall_at_5_unfiltered": 2 / 4,
    "recall_at_10_unfiltered": 2 / 4,
    "recall_at_50_unfiltered": 3 / 4,
    "recall_at_100_unfiltered": 3 / 4,
    "recall_at_1_popularity": 1 / 4,
    "recall_at_5_popularity": 2 / 4,
    "recall_at_10_popularity": 2 / 4,
    "recall_at_50_popularity": 1,
    "recall_at_100_popularity": 1,
    "recall_at_1_recent_popularity": 0,
    "recall_at_5_recent_popularity": 1 / 4,
    "recall_at_10_recent_popularity": 1 / 4,
    "recall_at_50_recent_popularity": 1 / 4,
    "recall_at_100_recent_popularity": 1,
    "ndcg_at_10": (1 / math.log2(2) + 1 / math.log2(4)) / 4,
    "mrr": (1 + 1 / 3 + 1 / 11 + 1 / 200) / 4,
    "coverage_at_10": 4 / SIZE,
    # Movie 11 is half of the train labels, which is one bit, and 14, which is none, counts as one of them, like 13.
    "novelty_at_10": ((1 + 2) + (1 + 4) + (2 + 4) + (1 + 2)) / 8,
    "popularity_bias_at_10": ((8 + 4 + 8 + 1 + 4 + 0 + 8 + 4) / 8) / ((8 + 2 + 1 + 0) / 4),
    # All-time popularity hits 2 of 4 as well, recent popularity 1.
    "recall_at_10_lift": 1,
    "num_queries": 4,
    "num_candidates": SIZE,
}


def as_ranks(queries) -> dict[str, np.ndarray]:
    return {output: np.array([query[place] for query in queries], np.int64) for place, output in enumerate(OUTPUTS)}
