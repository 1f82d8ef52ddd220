"""Ranks by counting, against a loop that counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from trainer_module.ranking import FixedScores, rank_of_label, seen_mask

NAN, INF = math.nan, math.inf


def count_rank(scores: list[float], label: int, excluded: list[bool]) -> int:
    """Count one query's rank, candidate by candidate."""
    if label < 0 or excluded[label]:
        return len(scores) + 1
    rank = 0
    for score, gone in zip(scores, excluded, strict=True):
        beaten = math.isfinite(score) and math.isfinite(scores[label]) and score < scores[label]
        if not gone and not beaten:
            rank += 1
    return rank


# Few distinct values, so that ties are the rule.
SCORE = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, NAN, INF, -INF])


@st.composite
def queries(draw: st.DrawFn) -> tuple[list[list[float]], list[int], list[list[bool]]]:
    num_candidates = draw(st.integers(1, 6))
    rows = draw(st.integers(1, 4))
    scores = [draw(st.lists(SCORE, min_size=num_candidates, max_size=num_candidates)) for _ in range(rows)]
    labels = [draw(st.integers(-1, num_candidates - 1)) for _ in range(rows)]
    excluded = [draw(st.lists(st.booleans(), min_size=num_candidates, max_size=num_candidates)) for _ in range(rows)]
    return scores, labels, excluded


@given(queries())
def test_ranks_are_what_a_loop_counts(query):
    scores, labels, excluded = query
    ranks = rank_of_label(tf.constant(scores, tf.float32), tf.constant(labels, tf.int64), tf.constant(excluded))
    assert ranks.dtype == tf.int64
    assert ranks.numpy().tolist() == [count_rank(*row) for row in zip(scores, labels, excluded, strict=True)]


@given(queries())
def test_without_candidates_left_out_all_of_the_catalogue_is_counted(query):
    scores, labels, _ = query
    none_gone = [False] * len(scores[0])
    ranks = rank_of_label(tf.constant(scores, tf.float32), tf.constant(labels, tf.int64))
    assert ranks.numpy().tolist() == [
        count_rank(row, label, none_gone) for row, label in zip(scores, labels, strict=True)
    ]


@pytest.mark.parametrize(
    ("scores", "label", "excluded", "expected"),
    [
        pytest.param([3.0, 2.0, 1.0], 0, [False] * 3, 1, id="the best score is first"),
        pytest.param([3.0, 2.0, 1.0], 2, [False] * 3, 3, id="the worst score is last"),
        pytest.param([1.0, 1.0, 1.0], 0, [False] * 3, 3, id="ties count against the model"),
        pytest.param([NAN, NAN, NAN], 1, [False] * 3, 3, id="a model of NaNs ranks every label last"),
        pytest.param([INF, 2.0, NAN], 1, [False] * 3, 3, id="scores that are not finite stand before the label"),
        pytest.param([INF, 2.0, 1.0], 0, [False] * 3, 3, id="an infinite score of the label's own is no win"),
        pytest.param([3.0, 2.0, 1.0], 2, [True, False, False], 2, id="a movie that is left out stands before none"),
        pytest.param([3.0, 2.0, 1.0], 0, [True, False, False], 4, id="a label that is left out can't be offered"),
        pytest.param([3.0, 2.0, 1.0], -1, [False] * 3, 4, id="a label that the catalogue lacks ranks behind all"),
    ],
)
def test_a_rank_by_hand(scores, label, excluded, expected):
    rank = rank_of_label(tf.constant([scores]), tf.constant([label]), tf.constant([excluded]))
    assert rank.numpy().tolist() == [expected]


@st.composite
def contexts_of_a_catalogue(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    size, length = draw(st.integers(1, 6)), draw(st.integers(0, 5))
    context = st.lists(st.integers(0, size), min_size=length, max_size=length)
    return size, draw(st.lists(context, min_size=1, max_size=4))


@given(contexts_of_a_catalogue())
def test_the_columns_of_a_context_are_its_movies_and_never_a_pad(case):
    size, contexts = case
    index = np.array(contexts, np.int64).reshape(len(contexts), -1)
    marked = seen_mask(tf.constant(index), size).numpy()
    assert marked.tolist() == [[column + 1 in context for column in range(size)] for context in contexts]


@st.composite
def queries_of_fixed_scores(draw: st.DrawFn) -> tuple[list[float], list[int], list[list[int]]]:
    scores = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=6))
    rows, length = draw(st.integers(1, 4)), draw(st.integers(0, 5))
    contexts = st.lists(st.integers(0, len(scores)), min_size=length, max_size=length)
    return (
        scores,
        [draw(st.integers(-1, len(scores) - 1)) for _ in range(rows)],
        [draw(contexts) for _ in range(rows)],
    )


@given(queries_of_fixed_scores())
def test_ranks_by_fixed_scores_are_what_a_loop_counts_also_where_a_context_holds_a_movie_twice(query):
    scores, labels, contexts = query
    context = tf.reshape(tf.constant(contexts, tf.int64), [len(contexts), -1])
    ranks = FixedScores(np.array(scores), "popularity").rank_of_label(tf.constant(labels, tf.int64), context)
    assert ranks.dtype == tf.int64
    assert ranks.numpy().tolist() == [
        count_rank(scores, label, [place + 1 in held for place in range(len(scores))])
        for label, held in zip(labels, contexts, strict=True)
    ]
