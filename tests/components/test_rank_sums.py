"""The metrics by hand, and sums that neither hang on the order of queries nor grow with them."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hand_made_ranks import BY_HAND, COUNT_OF_RANKED, COUNTS, QUERIES, SIZE, TOTAL, as_ranks

from components.evaluation.rank_sums import LabelCounts, RankSums, metric_names


def metrics(queries, recommended=(), catalogue_size: int = SIZE, label_counts=None) -> dict[str, float]:
    sums = RankSums()
    sums.add(as_ranks(queries), recommended, catalogue_size, label_counts)
    return sums.metrics()


def counts_of(queries, total: int = TOTAL) -> LabelCounts:
    recommended = [COUNTS[movie] for *_, movies in queries for movie in movies]
    labels = [COUNT_OF_RANKED[rank] for rank, *_ in queries]
    return LabelCounts(np.array(recommended, np.int64), np.array(labels, np.int64), total)


def test_a_small_case_by_hand():
    recommended = {movie for *_, movies in QUERIES for movie in movies}
    assert metrics(QUERIES, recommended, label_counts=counts_of(QUERIES)) == pytest.approx(BY_HAND)


def test_recommending_what_is_as_popular_as_the_labels_is_no_bias():
    same = LabelCounts(np.array([6, 2]), np.array([6, 2]), 8)
    assert metrics([(1, 1, 1, 1, []), (1, 1, 1, 1, [])], label_counts=same)["popularity_bias_at_10"] == 1


def test_how_well_known_movies_are_is_no_number_where_the_model_does_not_say():
    found = metrics(QUERIES)
    assert math.isnan(found["novelty_at_10"])
    assert math.isnan(found["popularity_bias_at_10"])


def test_labels_that_train_never_shows_leave_no_popularity_to_compare_with():
    unseen = LabelCounts(np.array([6, 2]), np.array([0]), 8)
    assert math.isnan(metrics([(9, 9, 9, 9, [])], label_counts=unseen)["popularity_bias_at_10"])


@pytest.mark.parametrize("k", [1, 5, 10, 50, 100])
def test_a_label_at_rank_k_is_a_hit_at_k_and_one_behind_it_is_none(k):
    found = metrics([(k, k, k, k, []), (k + 1, k + 1, k + 1, k + 1, [])])
    assert found[f"recall_at_{k}"] == 0.5


def test_a_label_that_can_not_be_offered_is_no_hit_in_a_catalogue_of_fewer_than_k_movies():
    found = metrics([(3, 3, 3, 3, []), (4, 4, 4, 4, [])], catalogue_size=3)
    assert {found[f"recall_at_{k}{suffix}"] for k in (5, 10, 100) for suffix in ("", "_popularity")} == {0.5}
    assert found["ndcg_at_10"] == pytest.approx(1 / math.log2(4) / 2)
    assert found["recall_at_10_lift"] == 1


def test_a_popularity_that_never_hits_counts_as_if_it_had_hit_once():
    queries = [(1, 1, 500, 500, []), (2, 2, 500, 500, []), (500, 500, 500, 500, []), (500, 500, 500, 500, [])]
    assert metrics(queries)["recall_at_10_lift"] == pytest.approx(0.5 / 0.25)


@pytest.mark.parametrize(("all_time", "recent"), [(0.1, 0.4), (0.4, 0.1)])
def test_the_lift_is_over_the_higher_of_all_time_and_recent_popularity(all_time, recent):
    # Ten queries, eight of which the model hits.
    places = [[1 if query < 10 * share else 500 for query in range(10)] for share in (0.8, 0.8, all_time, recent)]
    found = metrics([(*ranks, []) for ranks in zip(*places, strict=True)])
    assert found["recall_at_10_lift"] == pytest.approx(0.8 / 0.4)


def test_every_name_is_computed_once():
    assert sorted(metric_names()) == sorted(set(metric_names())) == sorted(BY_HAND)


def test_the_reciprocal_ranks_of_many_queries_add_up_to_the_last_digit():
    ranks = np.random.default_rng(0).integers(1, 60_000, 20_000)
    sums = RankSums()
    sums.add({"rank": ranks}, [], 60_000)
    assert sums.metrics()["mrr"] == pytest.approx(math.fsum(1 / ranks) / len(ranks), rel=1e-12)


def test_sums_are_as_large_for_a_hundred_queries_as_for_a_hundred_thousand():
    sizes = []
    for count in (100, 100_000):
        sums = RankSums()
        sums.add(as_ranks([(1 + place % 700,) * 4 for place in range(count)]), range(50), SIZE)
        sizes.append(len(pickle.dumps(sums)))
    assert sizes[1] - sizes[0] < 16
