"""A model's behaviour, measured on models that behave in a known way."""

from __future__ import annotations

import numpy as np
import pytest
from audit_data import answering
from hypothesis import given
from hypothesis import strategies as st

from components.audit.behaviour import (
    FEWEST,
    FEWEST_MOVIES,
    CoWatching,
    ask_all,
    behaviour_figures,
    reversed_contexts,
    slice_misses,
    with_one_dropped,
    with_other_last,
)
from components.audit.windows import Windows

MOVIES = 400
CONTEXTS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=6, unique=True), min_size=2, max_size=12).map(
    lambda rows: np.array([row + [0] * (6 - len(row)) for row in rows])
)


def windows_of(contexts: np.ndarray, labels: np.ndarray | None = None, popularity: str = "head") -> Windows:
    labels = np.arange(1, len(contexts) + 1) if labels is None else labels
    return Windows(contexts, labels, np.full(len(contexts), popularity.encode()))


def drawn_contexts(number: int = 200, length: int = 6, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.array([generator.permutation(MOVIES)[:length] + 1 for _ in range(number)])


def figures_of(ask, windows: Windows | None = None, genres: np.ndarray | None = None, train: Windows | None = None):
    windows = windows_of(drawn_contexts()) if windows is None else windows
    answers = ask_all(ask, windows, seed=7)
    co_watching = CoWatching(windows.label[answers.is_miss], answers.plain[answers.is_miss])
    if train is not None:
        co_watching.add(train)
    return behaviour_figures(answers, np.ones((MOVIES + 1, 1), bool) if genres is None else genres, co_watching)


@given(CONTEXTS)
def test_contexts_are_changed_as_lists_would_be(contexts: np.ndarray):
    lengths = (contexts > 0).sum(axis=1)
    lists = [[movie for movie in row if movie] for row in contexts.tolist()]

    def unpadded(changed: np.ndarray) -> list[list[int]]:
        kept = [[movie for movie in row if movie] for row in changed.tolist()]
        assert [row[: len(movies)] for row, movies in zip(changed.tolist(), kept, strict=True)] == kept
        return kept

    assert unpadded(reversed_contexts(contexts, lengths)) == [movies[::-1] for movies in lists]

    for before, after in zip(lists, unpadded(with_one_dropped(contexts, lengths, seed=3)), strict=True):
        assert after in [before[:place] + before[place + 1 :] for place in range(len(before))]

    rows, changed = with_other_last(contexts, lengths)
    expected = {
        row: [*movies[:-1], lists[row - 1][-1]] for row, movies in enumerate(lists) if lists[row - 1][-1] not in movies
    }
    assert dict(zip(rows.tolist(), unpadded(changed), strict=True)) == expected


def test_a_model_that_reads_only_the_last_movie_moves_with_it_and_not_without():
    found = figures_of(answering(lambda context: context[-1], MOVIES))
    assert found.moved_by_last > 0.9
    # Only where the last one is dropped, a sixth of the queries.
    assert 0.05 < found.moved_by_drop < 0.3
    assert found.moved_by_order > 0.9


def test_a_model_that_reads_a_set_does_not_see_order():
    found = figures_of(answering(lambda context: int(np.sort(context) @ np.arange(1, 1 + len(context))), MOVIES))
    assert found.moved_by_order == 0
    assert found.moved_by_last > 0.9
    assert found.moved_by_drop > 0.9


def test_a_model_that_gives_all_the_same_does_not_move_and_is_not_personal():
    found = figures_of(answering(lambda context: 5, MOVIES))
    assert (found.moved_by_last, found.moved_by_order, found.moved_by_drop) == (0, 0, 0)
    assert found.answer_overlap == 1


def test_a_model_that_draws_at_random_is_personal():
    found = figures_of(answering(lambda context: int(context.sum()), MOVIES))
    # Ten of 400 drawn twice share 10 * 10 / 400 movies.
    assert found.answer_overlap == pytest.approx(0.025, abs=0.01)


def test_of_too_few_queries_nothing_is_said():
    found = figures_of(answering(lambda context: 5, MOVIES), windows_of(drawn_contexts(FEWEST - 1)))
    assert found.model_dump(exclude_defaults=True) == {"queries": FEWEST - 1}


def test_of_a_catalogue_in_which_any_two_answers_are_alike_nothing_is_said():
    few = np.ones((FEWEST_MOVIES, 1), bool)
    found = figures_of(answering(lambda context: 5, MOVIES), genres=few)
    assert found.model_dump(exclude_defaults=True) == {"queries": 200}


def test_contexts_of_one_movie_have_no_order_and_nothing_to_drop():
    found = figures_of(answering(lambda context: int(context.sum()), MOVIES), windows_of(drawn_contexts(length=1)))
    assert found.moved_by_order is None
    assert found.moved_by_drop is None
    assert found.moved_by_last > 0.9


def test_misses_are_counted_by_slice_and_small_or_unseen_ones_left_out_of_the_spread():
    contexts = np.zeros((160, 2), dtype=np.int64)
    contexts[:, 0] = 1
    contexts[:60, 1] = 2
    popularity = np.array([b"head"] * 100 + [b"unseen"] * 60)
    windows = Windows(contexts, np.arange(1, 161), popularity)
    is_miss = np.arange(160) % 4 == 0
    is_miss[100:] = True
    found = {(part.feature, part.value): part for part in slice_misses(windows, is_miss)}
    assert found["label_popularity", "head"].model_dump(exclude={"feature", "value"}) == {
        "queries": 100,
        "miss_rate": 0.25,
        "counted": True,
    }
    assert found["label_popularity", "unseen"].miss_rate == 1
    assert not found["label_popularity", "unseen"].counted
    # 40 of the first 100 have one movie, 15 of 60 with two are missed.
    assert found["context_length", "2"].queries == 60
    assert found["context_length", "2"].miss_rate == 0.25
    assert set(found) == {
        ("label_popularity", "head"),
        ("label_popularity", "unseen"),
        ("context_length", "1"),
        ("context_length", "2"),
    }


def test_the_spread_is_that_of_the_slices():
    labels = np.full(200, MOVIES)
    # Heads get their label, tails don't, and all contexts are of one length.
    windows = Windows(drawn_contexts(), labels, np.array([b"head"] * 100 + [b"tail"] * 100))
    first = set(windows.context[:100, 0].tolist()) - set(windows.context[100:, 0].tolist())

    def ask(contexts: np.ndarray) -> np.ndarray:
        answers = np.tile(np.arange(1, 11), (len(contexts), 1))
        answers[[context[0] in first for context in contexts], 0] = MOVIES
        return answers

    found = figures_of(ask, windows)
    by_value = {part.value: part.miss_rate for part in found.slices}
    expected = np.mean([abs(by_value[value] - found.miss_rate) for value in ("head", "tail", "6")])
    assert found.miss_rate_spread == pytest.approx(expected)
    assert by_value["tail"] == 1
    assert by_value["head"] < 0.5


def test_misses_of_the_labels_genre_are_near_and_those_of_others_answers_are_not():
    # Two genres, of the even and of the odd movies; each label's answer is of its own genre, no label is found.
    genres = np.array([[code % 2 == 0, code % 2 == 1] for code in range(MOVIES + 1)])
    genres[0] = False
    contexts = drawn_contexts()
    labels = 2 + np.arange(200) % 2
    windows = windows_of(contexts, labels)
    genre_of = {tuple(context): label % 2 for context, label in zip(contexts.tolist(), labels.tolist(), strict=True)}

    def ask(asked: np.ndarray) -> np.ndarray:
        return np.array([100 + genre_of.get(tuple(context), 0) + 2 * np.arange(10) for context in asked.tolist()])

    found = figures_of(ask, windows, genres)
    # Labels take turns, and the query before has the other genre.
    assert (found.genres.own, found.genres.others) == (1.0, 0.0)
    assert found.genres.times is None


def test_co_watching_finds_pairs_in_train_windows_whichever_comes_first():
    labels, answers = np.array([1, 2]), np.array([[10, 11, 0], [12, 13, 14]])
    co_watching = CoWatching(labels, answers)
    co_watching.add(windows_of(np.array([[10, 50, 0], [1, 60, 70]]), np.array([1, 11])))
    co_watching.add(windows_of(np.array([[2, 80, 0], [12, 13, 0]]), np.array([14, 99])))
    # 1 with 10 and 11, of two; 2 with 14, of three: that 12 and 13 go together says nothing of 2.
    assert co_watching.shares().tolist() == pytest.approx([1, 1 / 3])
    # The other query's answers: 1 with none of 12 to 14, and 2 with neither 10 nor 11.
    assert co_watching.shares(shift=1).tolist() == [0, 0]


def test_without_misses_nothing_is_near():
    windows = windows_of(drawn_contexts(), np.full(200, 1))
    found = figures_of(lambda contexts: np.tile(np.arange(1, 11), (len(contexts), 1)), windows, train=windows)
    assert found.miss_rate == 0
    assert found.genres is None
    assert found.co_watched is None
