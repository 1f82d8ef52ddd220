"""Recent popularity: how far back it looks, and how it ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data.releases.catalogue import Catalogue, Movie
from data.timelines.periods import NUM_PERIODS
from trainer_module.popularity import choose_stretch, counts_by_period, recent_popularity


def counts_of(*groups: list[int]) -> np.ndarray:
    """Give ten movies for each group, all with the group's count in each period: int64 `[10 * groups, periods]`."""
    return np.repeat(np.array(groups, dtype=np.int64), 10, axis=0)


def test_when_taste_changed_once_the_stretch_reaches_back_to_the_change():
    # Of 740 labels the last period holds 100, the newest tenth. What came into fashion covers all of it. Over the last
    # 1, 2 and 4 of the seven periods before it is ahead with 10 a movie to 0, 20 to 0, and 30 to 7; over all seven
    # it is behind with 30 to 34.
    counts = counts_of([9, 9, 9, 7, 0, 0, 0, 0], [0, 0, 0, 0, 10, 10, 10, 10])
    assert choose_stretch(counts) == 4


def test_when_taste_never_changes_all_of_train_counts():
    # The last period before the newest is one of chance: ten other movies lead in it, and never again.
    counts = counts_of([5, 5, 5, 5, 5, 4, 5], [0, 0, 0, 0, 0, 5, 0])
    assert choose_stretch(counts) == 7


def test_when_stretches_do_equally_well_the_longest_is_taken():
    assert choose_stretch(counts_of([5, 5, 5, 5], [1, 1, 1, 1])) == 4


def test_the_newest_periods_hold_a_tenth_together_and_are_not_counted_themselves():
    # 100 labels a movie group; the last two periods hold 10 + 10 of 200, exactly a tenth. Before them the first group
    # leads over all and the second in period 2 alone, which is where the newest labels come from.
    counts = counts_of([8, 1, 0, 0, 0], [4, 0, 5, 1, 1])
    assert counts.sum() == 200
    assert choose_stretch(counts) == 2
    # Were the newest period alone held out, the one before it would be counted, and decide for itself alone.
    assert choose_stretch(counts_of([8, 1, 0, 0], [4, 0, 5, 2])) == 2


def test_a_tenth_is_exact():
    # 30 labels, 3 of them in the last period. The second group leads in the period before it, and nowhere else.
    counts = np.zeros((20, 4), dtype=np.int64)
    counts[:10, 0] = 1
    counts[:7, 1] = 1
    counts[10:, 2] = 1
    counts[10:13, 3] = 1
    assert choose_stretch(counts) == 1


def test_movies_that_tie_for_the_last_of_ten_places_cover_nothing():
    # Over the last period eleven movies tie: none of them is sure of a place. All together ten of them lead.
    counts = np.array([[3, 1, 1]] * 10 + [[0, 1, 5]], dtype=np.int64)
    assert choose_stretch(counts) == 3


def test_periods_without_labels_at_the_end_are_no_part_of_the_stretch():
    counts = counts_of([9, 9, 9, 7, 0, 0, 0, 0], [0, 0, 0, 0, 10, 10, 10, 10])
    later = np.pad(counts, [(0, 0), (0, 5)])
    assert choose_stretch(later) == 4
    np.testing.assert_array_equal(recent_popularity(later), recent_popularity(counts))


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param(np.zeros((3, 8), dtype=np.int64), id="no counts"),
        pytest.param(np.zeros((0, 8), dtype=np.int64), id="no movies"),
        pytest.param(np.array([[4], [0], [2]]), id="one period only"),
        pytest.param(np.array([[0, 4, 0], [0, 0, 0], [0, 2, 0]]), id="all labels in one period"),
        pytest.param(np.array([[0, 1, 90], [0, 1, 3], [0, 0, 2]]), id="no more movies than are compared"),
    ],
)
def test_where_nothing_tells_recent_from_former_popularity_is_that_of_all_time(counts: np.ndarray):
    assert choose_stretch(counts) == counts.shape[1]
    all_time = counts.sum(axis=1)
    np.testing.assert_array_equal(
        np.argsort(recent_popularity(counts), kind="stable"), np.argsort(all_time, kind="stable")
    )


def test_recent_popularity_is_the_count_over_the_stretch_and_all_time_breaks_its_ties():
    # The stretch is of four periods, as above. In them the movies of the second group are labels 40 times, one of
    # the first group 7 times; the others of that group, and two more movies, never.
    counts = counts_of([9, 9, 9, 0, 0, 0, 0, 0], [0, 0, 0, 0, 10, 10, 10, 10])
    counts[0, 4:] = [7, 0, 0, 0]
    more = np.array([[1, 0, 0, 0, 0, 0, 0, 0], [0] * 8], dtype=np.int64)
    counts = np.concatenate([counts, more])
    assert choose_stretch(counts) == 4
    # From the least: never a label, once long ago, 27 times long ago, 7 times lately, 40 times lately.
    assert recent_popularity(counts).tolist() == [3] + [2] * 9 + [4] * 10 + [1, 0]


def test_ties_are_told_apart_however_large_the_counts_are():
    counts = np.array([[2**40, 2**40 + 1], [2**40 + 1, 2**40 + 1], [2**40, 2**40 + 1]])
    assert recent_popularity(counts).tolist() == [0, 1, 0]


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 9)), elements=st.integers(0, 6)))
def test_the_order_of_movies_changes_nothing_and_a_stretch_is_one_of_the_candidates(counts: np.ndarray):
    num_periods = counts.shape[1]
    assert choose_stretch(counts) in {stretch for stretch in (1, 2, 4, 8) if stretch < num_periods} | {num_periods}
    np.testing.assert_array_equal(recent_popularity(counts[::-1])[::-1], recent_popularity(counts))


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 9)), elements=st.integers(0, 6)))
def test_the_stretch_is_the_one_that_a_plain_second_implementation_finds(counts: np.ndarray):
    assert choose_stretch(counts) == plain_stretch(counts.tolist())


def plain_stretch(counts: list[list[int]]) -> int:
    """Choose the stretch by loops, counting each movie's place among the others."""
    movies, num_periods = range(len(counts)), len(counts[0])
    total = sum(map(sum, counts))
    start = num_periods
    while start and sum(sum(row[start:]) for row in counts) * 10 < total:
        start -= 1
    end = max((period + 1 for period in range(start) if any(row[period] for row in counts)), default=0)
    if end == 0:
        return num_periods
    best = None
    for stretch in [length for length in (1, 2, 4, 8) if length < num_periods] + [num_periods]:
        score = [(sum(row[max(end - stretch, 0) : end]), sum(row[:end])) for row in counts]
        covered = sum(
            sum(counts[movie][start:]) for movie in movies if sum(other >= score[movie] for other in score) <= 10
        )
        if best is None or covered >= best[0]:
            best = covered, stretch
    return best[1]


def test_counts_stand_in_the_vocabularys_order_and_an_unlisted_movie_has_none():
    catalogue = Catalogue.of(Movie(id_, "A", 0, ()) for id_ in (3, 5, 8))
    catalogue = catalogue.with_train_labels(
        catalogue.codes_of(np.array([3, 8, 8])), np.array([0, 0, 63]), np.array([1, 2, 4])
    )
    counts = counts_by_period(catalogue, np.array([8, 9, 3, 5]))
    expected = np.zeros((4, NUM_PERIODS), dtype=np.int64)
    expected[0, [0, 63]] = [2, 4]
    expected[2, 0] = 1
    np.testing.assert_array_equal(counts, expected)


def test_a_catalogue_of_an_earlier_version_gives_no_counts():
    assert counts_by_period(Catalogue.of([Movie(3, "A", 0, ())]), np.array([3])) is None
