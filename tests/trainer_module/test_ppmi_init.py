import math

import numpy as np
import pytest

from trainer_module.dataset import Windows
from trainer_module.ppmi_init import DECAY, SMOOTHING, counted_embeddings

# Movies 1 to 3 only ever meet each other, and so do movies 4 to 6.
TWO_CIRCLES = Windows(
    context=np.array([[1, 2], [2, 3], [3, 1], [4, 5], [5, 6], [6, 4], [1, 0], [4, 0]], np.int32),
    label=np.array([3, 1, 2, 6, 4, 5, 2, 5], np.int32),
)
MOVIES = 6


def plain_information(windows: Windows) -> np.ndarray:
    """Count with loops, and take the logarithm cell by cell."""
    counts = np.zeros((MOVIES, MOVIES))
    for context, label in zip(windows.context, windows.label, strict=True):
        movies = [movie for movie in context if movie]
        for back, movie in enumerate(reversed(movies)):
            counts[movie - 1, label - 1] += DECAY**back
            counts[label - 1, movie - 1] += DECAY**back
    totals = counts.sum(axis=1)
    smoothed = totals**SMOOTHING
    information = np.zeros_like(counts)
    for row in range(MOVIES):
        for column in range(MOVIES):
            if counts[row, column]:
                ratio = counts[row, column] * smoothed.sum() / (totals[row] * smoothed[column])
                information[row, column] = max(0.0, math.log(ratio))
    return information


def test_no_movie_stays_at_zero_and_each_movie_has_a_row():
    table = counted_embeddings(TWO_CIRCLES, MOVIES, dim=3, seed=1)
    assert table.shape == (MOVIES + 1, 3)
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table[0], 0)
    assert (np.abs(table[1:]).sum(axis=1) > 0).all()


def test_the_rows_factorise_the_mutual_information_as_its_largest_singular_values_say():
    dim = 4
    table = counted_embeddings(TWO_CIRCLES, MOVIES, dim=dim, seed=1)
    vectors, values, _ = np.linalg.svd(plain_information(TWO_CIRCLES))
    expected = (vectors[:, :dim] * values[:dim]) @ vectors[:, :dim].T
    np.testing.assert_allclose(table[1:] @ table[1:].T, expected, atol=1e-5)


def test_movies_that_meet_the_same_movies_point_the_same_way():
    table = counted_embeddings(TWO_CIRCLES, MOVIES, dim=2, seed=1)[1:]
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[0, 1] > 0.9
    assert cosine[3, 4] > 0.9
    assert abs(cosine[0, 3]) < 0.1


def test_the_seed_fixes_the_embeddings():
    first, second = (counted_embeddings(TWO_CIRCLES, MOVIES, dim=3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_last_bits_of_sums_turn_no_column_around():
    """Windows in another order give other sums, as another processor does."""
    generator = np.random.default_rng(0)
    context = generator.integers(1, 161, (5_000, 10)).astype(np.int32)
    label = generator.integers(1, 161, 5_000).astype(np.int32)
    shuffled = generator.permutation(5_000)
    first = counted_embeddings(Windows(context, label), 160, dim=64, seed=1)
    second = counted_embeddings(Windows(context[shuffled], label[shuffled]), 160, dim=64, seed=1)
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert (first.max(axis=0) >= -first.min(axis=0)).all()


@pytest.mark.parametrize("dim", [6, 20])
def test_columns_beyond_what_the_vocabulary_can_fill_are_zero(dim):
    table = counted_embeddings(TWO_CIRCLES, MOVIES, dim=dim, seed=1)
    assert table.shape == (MOVIES + 1, dim)
    np.testing.assert_array_equal(table[:, MOVIES - 1 :], 0)
