"""The Evaluator's metrics: by hand, merged in any order, and recomputed from the real evaluation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from hand_made_ranks import BY_HAND, COUNT_OF_RANKED, COUNTS, OUTPUTS, QUERIES, SIZE, TOTAL
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.rank_sums import metric_names
from components.evaluation.retrieval_metrics import RetrievalMetrics

pytestmark = pytest.mark.slow


def combiner(model_name: str = ""):
    (computation,) = RetrievalMetrics().computations(model_names=[model_name], output_names=[""])
    return computation.combiner


def as_inputs(query) -> tfma.metrics.StandardMetricInputs:
    predictions = {output: np.int64(query[place]) for place, output in enumerate(OUTPUTS)}
    predictions |= {
        "top_movie_id": np.array(query[4]),
        "top_label_count": np.array([COUNTS.get(movie, 0) for movie in query[4]]),
        "label_count": np.int64(COUNT_OF_RANKED.get(query[0], 3)),
        "num_train_labels": np.int64(TOTAL),
        "catalogue_size": np.int64(SIZE),
    }
    return tfma.metrics.StandardMetricInputs(predictions=predictions)


def accumulated(of, queries):
    accumulator = of.create_accumulator()
    for query in queries:
        accumulator = of.add_input(accumulator, as_inputs(query))
    return accumulator


def values(of, accumulator) -> dict[str, float]:
    return {key.name: value for key, value in of.extract_output(accumulator).items()}


def test_what_fills_up_a_short_answer_is_no_movie_of_any_metric():
    of = combiner()
    filled = [(*ranks, [*movies, 0, 0]) for *ranks, movies in QUERIES]
    found = values(of, accumulated(of, filled))
    for name in ("coverage_at_10", "novelty_at_10", "popularity_bias_at_10"):
        assert found[name] == pytest.approx(BY_HAND[name]), name


def test_the_combiner_gives_the_same():
    of = combiner()
    assert values(of, accumulated(of, QUERIES)) == pytest.approx(BY_HAND)


def test_a_model_of_an_earlier_version_is_measured_without_what_it_does_not_say():
    of = combiner()
    accumulator = of.create_accumulator()
    for query in QUERIES:
        inputs = as_inputs(query)
        for output in ("rank_recent_popularity", "top_label_count", "label_count", "num_train_labels"):
            del inputs.predictions[output]
        accumulator = of.add_input(accumulator, inputs)
    found = values(of, accumulator)
    unsaid = {name for name in BY_HAND if name.endswith("recent_popularity")}
    unsaid |= {"novelty_at_10", "popularity_bias_at_10"}
    expected = {name: value for name, value in BY_HAND.items() if name not in unsaid}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert all(math.isnan(found[name]) for name in unsaid)


def test_when_there_is_no_query_every_metric_is_nan():
    of = combiner()
    found = values(of, of.create_accumulator())
    assert set(found) == set(metric_names())
    assert found.pop("num_queries") == 0
    assert all(math.isnan(value) for value in found.values())


QUERY = st.tuples(*[st.integers(1, 150)] * 4, st.lists(st.integers(1, 8), min_size=1, max_size=3))


@given(st.lists(st.lists(QUERY, max_size=4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_parts_may_be_merged_in_any_order_and_grouping(parts, random):
    of = combiner()
    together = [query for part in parts for query in part]
    expected = values(of, accumulated(of, together))
    waiting = [accumulated(of, part) for part in parts]
    while len(waiting) > 1:
        random.shuffle(waiting)
        waiting.append(of.merge_accumulators([waiting.pop(), waiting.pop()]))
    # Equal to the last digit.
    assert str(values(of, waiting[0])) == str(expected)


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


COMPARED = config_pb2.EvalConfig(
    model_specs=[config_pb2.ModelSpec(name="candidate"), config_pb2.ModelSpec(name="baseline", is_baseline=True)]
)


def differences(
    settings: dict, pairs: list[tuple[int, int]], parts: int = 1, catalogue_size: int = SIZE
) -> dict[str, float]:
    """Compare two models' ranks of the same queries, given in groups and merged from several parts."""
    computations = RetrievalMetrics(**settings).computations(
        eval_config=COMPARED, model_names=["candidate", "baseline"], output_names=[""]
    )
    (of,) = [each.combiner for each in computations if all(key.is_diff for key in each.keys)]
    accumulators = []
    for part in range(parts):
        ranks = np.array(pairs[part::parts]).reshape(-1, 2)
        both = tfma.metrics.StandardMetricInputs(
            predictions={
                name: {"rank": ranks[:, column], "catalogue_size": np.full(len(ranks), catalogue_size)}
                for column, name in enumerate(("candidate", "baseline"))
            }
        )
        accumulators.append(of.add_input(of.create_accumulator(), both))
    return values(of, of.merge_accumulators(accumulators))


# Of twenty queries the candidate alone hits one, and the baseline alone three.
PAIRS = [(10, 11), (11, 10), (200, 1), (50, 3), *[(1, 10)] * 8, *[(11, 300)] * 8]


@pytest.mark.parametrize("parts", [1, 3])
def test_the_difference_to_the_baseline_is_counted_query_by_query(parts):
    found = differences({"allowed_drop": 0.05}, PAIRS, parts)
    # Agresti and Min: one half in each of four cells.
    center, half = -2 / 22, 1.959964 * math.sqrt(5 - 4 / 22) / 22
    assert found == pytest.approx(
        {
            "recall_at_10_difference": -0.1,
            "recall_at_10_difference_low": center - half,
            "recall_at_10_difference_high": center + half,
            # Beyond the allowed drop, but the interval holds zero.
            "recall_at_10_margin": center + half,
        }
    )
    strict = differences({"allowed_drop": 0.05, "non_inferior": True}, PAIRS, parts)
    assert strict["recall_at_10_margin"] == pytest.approx(center - half + 0.05)


def test_a_label_that_only_one_of_two_models_can_offer_is_its_gain_in_a_small_catalogue():
    pairs = [(3, 4), *[(1, 1)] * 9]
    assert differences({}, pairs, catalogue_size=3)["recall_at_10_difference"] == pytest.approx(0.1)


def test_without_a_baseline_nothing_is_compared():
    computations = RetrievalMetrics().computations(
        eval_config=config_pb2.EvalConfig(model_specs=[config_pb2.ModelSpec()]), model_names=[""], output_names=[""]
    )
    assert not any(key.is_diff for each in computations for key in each.keys)
