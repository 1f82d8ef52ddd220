"""How much answers have in common, by cases worked by hand and by a plain second count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.audit.overlaps import mean_pairwise_overlap, overlaps, shared_genres, spread

ANSWER = st.lists(st.integers(1, 12), min_size=5, max_size=5, unique=True)


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ([1, 2, 3, 4], [4, 3, 2, 1], 1.0),
        ([1, 2, 3, 4], [1, 2, 5, 6], 0.5),
        ([1, 2, 3, 4], [5, 6, 7, 8], 0.0),
        # Shorter answers, filled up: one of two movies, by the longer one's length.
        ([1, 0, 0, 0], [1, 2, 0, 0], 0.5),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0),
        ([0, 0, 0, 0], [1, 2, 0, 0], 0.0),
    ],
    ids=["turned round", "half", "nothing", "shorter", "both empty", "one empty"],
)
def test_the_overlap_is_the_share_of_the_longer_answer(first, second, share):
    assert overlaps(np.array([first]), np.array([second])).tolist() == [share]


@given(st.lists(ANSWER, min_size=2, max_size=8))
def test_the_mean_overlap_of_all_pairs_is_that_of_looking_at_each(answers: list[list[int]]):
    pairs = [len(set(one) & set(other)) / 5 for one, other in itertools.combinations(answers, 2)]
    assert mean_pairwise_overlap(np.array(answers)) == pytest.approx(sum(pairs) / len(pairs))


def test_of_one_query_there_is_no_pair():
    assert mean_pairwise_overlap(np.array([[1, 2, 3]])) is None


def test_fillers_are_shared_by_no_one():
    assert mean_pairwise_overlap(np.array([[1, 0], [2, 0]])) == 0


def test_the_spread_is_the_mean_distance_from_the_whole():
    assert spread([0.2, 0.5, 0.9], 0.4) == pytest.approx((0.2 + 0.1 + 0.5) / 3)
    assert spread([], 0.4) is None


def test_genres_are_compared_by_jaccards_index_and_movies_without_any_left_out():
    # By code: none, A, AB, BC, no genre.
    genres = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]], dtype=bool)
    labels, answers = np.array([2, 1, 4, 2]), np.array([[1, 3], [2, 4], [1, 2], [4, 0]])
    shared = shared_genres(genres, labels, answers)
    # AB and A: 1 of 2; AB and BC: 1 of 3. A and AB: 1 of 2, the other has none.
    assert shared[:2].tolist() == pytest.approx([(1 / 2 + 1 / 3) / 2, 1 / 2])
    assert all(math.isnan(value) for value in shared[2:])
