import numpy as np

from benchmarks.quality.baselines import CoOccurrence, Popularity
from trainer_module.dataset import Windows

# Four train windows over three movies: 1 -> 2, 1,2 -> 3, 2,3 -> 1, 1 -> 3.
TRAIN = Windows(context=np.array([[1, 0], [1, 2], [2, 3], [1, 0]], np.int32), label=np.array([2, 3, 1, 3], np.int32))


def test_popularity_scores_every_context_by_label_counts():
    scores = Popularity(TRAIN, num_movies=3).score(np.array([[3, 0], [1, 2]]))
    np.testing.assert_array_equal(scores, [[1, 1, 2], [1, 1, 2]])


def test_without_decay_only_the_last_movie_counts():
    markov = CoOccurrence(TRAIN, 3, decay=0, damping=0)
    # After 1 came 2 once and 3 once; after 2 came 3; after 3 came 1.
    np.testing.assert_array_equal(markov.score(np.array([[1, 0], [1, 2], [2, 3]])), [[0, 1, 1], [0, 0, 1], [1, 0, 0]])


def test_decay_weighs_counts_and_scores_by_distance():
    counted = CoOccurrence(TRAIN, 3, decay=0.5, damping=0)
    # count(1, .) = (0, 1, 0.5 + 1); count(2, .) = (0.5, 0, 1): 2 stood two places before 1, and right before 3.
    # The context 1, 2 adds half of the first to the second.
    np.testing.assert_allclose(counted.score(np.array([[1, 2]])), [[0.5, 0.5, 1.75]])


def test_damping_divides_by_a_power_of_the_labels_count():
    damped = CoOccurrence(TRAIN, 3, decay=0, damping=0.5)
    np.testing.assert_allclose(damped.score(np.array([[1, 0]])), [[0, 1, 1 / np.sqrt(2)]], rtol=1e-6)


def test_an_empty_context_scores_nothing():
    np.testing.assert_array_equal(
        CoOccurrence(TRAIN, 3, decay=0.5, damping=0).score(np.zeros((1, 2), int)), [[0, 0, 0]]
    )
