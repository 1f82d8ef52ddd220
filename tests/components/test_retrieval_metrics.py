"""The Evaluator's metrics: by hand, merged in any order, and recomputed from the real evaluation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from hypothesis import given
from hypothesis import strategies as st

from components.retrieval_metrics import CUTOFFS, RetrievalMetrics, metric_names, metrics_from_ranks

pytestmark = pytest.mark.slow

OUTPUTS = ("rank", "rank_unfiltered", "rank_popularity")
QUERIES = [
    # rank, unfiltered, popularity, the first movies of the answer
    (1, 2, 5, [11, 12]),
    (3, 4, 20, [11, 13]),
    (11, 12, 30, [12, 14]),
    (200, 200, 1, [11, 12]),
]
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
    "ndcg_at_10": (1 / math.log2(2) + 1 / math.log2(4)) / 4,
    "mrr": (1 + 1 / 3 + 1 / 11 + 1 / 200) / 4,
    "coverage_at_10": 4 / 8,
    "recall_at_10_lift": 1,
}


def as_ranks(queries) -> dict[str, np.ndarray]:
    return {output: np.array([query[place] for query in queries], np.int64) for place, output in enumerate(OUTPUTS)}


def combiner(model_name: str = ""):
    (computation,) = RetrievalMetrics().computations(model_names=[model_name], output_names=[""])
    return computation.combiner


def as_inputs(query) -> tfma.metrics.StandardMetricInputs:
    predictions = {output: np.int64(query[place]) for place, output in enumerate(OUTPUTS)}
    return tfma.metrics.StandardMetricInputs(
        predictions={**predictions, "top_movie_id": np.array(query[3]), "catalogue_size": np.int64(8)}
    )


def accumulated(of, queries):
    accumulator = of.create_accumulator()
    for query in queries:
        accumulator = of.add_input(accumulator, as_inputs(query))
    return accumulator


def values(of, accumulator) -> dict[str, float]:
    return {key.name: value for key, value in of.extract_output(accumulator).items()}


def test_a_small_case_by_hand():
    recommended = {movie for *_, movies in QUERIES for movie in movies}
    assert metrics_from_ranks(as_ranks(QUERIES), recommended, 8, CUTOFFS) == pytest.approx(BY_HAND)


def test_what_fills_up_a_short_answer_is_no_movie_of_the_coverage():
    of = combiner()
    filled = [(*ranks, [*movies, 0, 0]) for *ranks, movies in QUERIES]
    assert values(of, accumulated(of, filled))["coverage_at_10"] == pytest.approx(4 / 8)


def test_the_combiner_gives_the_same():
    of = combiner()
    assert values(of, accumulated(of, QUERIES)) == pytest.approx(BY_HAND)


@pytest.mark.parametrize("k", [1, 5, 10, 50, 100])
def test_a_label_at_rank_k_is_a_hit_at_k_and_one_behind_it_is_none(k):
    found = metrics_from_ranks(as_ranks([(k, k, k, []), (k + 1, k + 1, k + 1, [])]), [], 8, CUTOFFS)
    assert found[f"recall_at_{k}"] == 0.5


def test_a_popularity_that_never_hits_counts_as_if_it_had_hit_once():
    queries = [(1, 1, 500, []), (2, 2, 500, []), (500, 500, 500, []), (500, 500, 500, [])]
    assert metrics_from_ranks(as_ranks(queries), [], 8, CUTOFFS)["recall_at_10_lift"] == pytest.approx(0.5 / 0.25)


def test_when_there_is_no_query_every_metric_is_nan():
    of = combiner()
    found = values(of, of.create_accumulator())
    assert set(found) == set(metric_names())
    assert all(math.isnan(value) for value in found.values())


def test_every_name_is_computed_once():
    assert sorted(metric_names()) == sorted(set(metric_names())) == sorted(BY_HAND)


QUERY = st.tuples(
    st.integers(1, 150), st.integers(1, 150), st.integers(1, 150), st.lists(st.integers(1, 8), min_size=1, max_size=3)
)


@given(st.lists(st.lists(QUERY, max_size=4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_parts_may_be_merged_in_any_order_and_grouping(parts, random):
    of = combiner()
    together = [query for part in parts for query in part]
    expected = values(of, accumulated(of, together))
    waiting = [accumulated(of, part) for part in parts]
    while len(waiting) > 1:
        random.shuffle(waiting)
        waiting.append(of.merge_accumulators([waiting.pop(), waiting.pop()]))
    assert values(of, waiting[0]) == pytest.approx(expected, nan_ok=True)


def test_each_model_is_judged_by_its_own_predictions():
    of = combiner("candidate")
    both = tfma.metrics.StandardMetricInputs(
        predictions={
            "candidate": as_inputs(QUERIES[0]).predictions,
            "baseline": as_inputs(QUERIES[3]).predictions,
        }
    )
    found = values(of, of.add_input(of.create_accumulator(), both))
    assert found["recall_at_1"] == 1
