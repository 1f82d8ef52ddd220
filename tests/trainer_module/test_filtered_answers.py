"""The signature `filtered`: exact over what its filters leave, against a plain second implementation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_model import export_untrained_model

from data.releases.catalogue import Movie
from serving.filters import Filters, filter_inputs
from serving.recommender import Recommender

pytestmark = pytest.mark.slow

MOVIES = 90
"""Fewer than an answer is long, so that it names all that is left."""

GENRES = ("Drama", "Comedy", "Horror", "Documentary")
UNKNOWN = 10_000


def varied(movie_id: int) -> Movie:
    """Return a movie whose genres and year follow from its id; every ninth has no genre, every seventh no year."""
    genres = tuple(name for place, name in enumerate(GENRES) if movie_id % (place + 2) == 0 and movie_id % 9)
    year = 0 if movie_id % 7 == 0 else 1950 + movie_id % 60
    return Movie(movie_id, f"Number {movie_id}", year, genres)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_untrained_model(tmp_path_factory.mktemp("filtered") / "1", MOVIES, make_movie=varied)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return tf.saved_model.load(str(folder))


def test_an_export_holds_its_functions_as_signatures_alone(model: Any):
    assert {"serving_default", "include_seen", "filtered", "similar", "evaluate"} == set(model.signatures)
    functions = ("recommend", "recommend_seen_too", "recommend_filtered", "similar", "evaluate")
    assert [name for name in functions if hasattr(model, name)] == []


def passes(movie: Movie, filters: Filters) -> bool:
    if filters.allow is not None and movie.id not in filters.allow:
        return False
    if movie.id in filters.deny or set(movie.genres) & set(filters.without_genres):
        return False
    if filters.genres and not set(movie.genres) & set(filters.genres):
        return False
    if filters.first_year or filters.last_year:
        return movie.year != 0 and filters.first_year <= movie.year <= (filters.last_year or 9999)
    return True


def ask(
    model: Any, histories: Sequence[Sequence[int]], filters: Sequence[Filters], include_seen: Sequence[bool]
) -> list[list[tuple[int, float]]]:
    longest = max(map(len, histories), default=0) or 1
    padded = np.array([[*history, *[0] * (longest - len(history))] for history in histories], np.int64)
    inputs = {name: tf.constant(value) for name, value in filter_inputs(filters, include_seen, pad=0).items()}
    answer = model.signatures["filtered"](context_movie_id=tf.constant(padded), **inputs)
    rows = zip(answer["movie_id"].numpy().tolist(), answer["score"].numpy().tolist(), strict=True)
    return [[(movie, score) for movie, score in zip(*row, strict=True) if movie != 0] for row in rows]


def all_scores(model: Any, history: Sequence[int]) -> dict[int, float]:
    """Return the scores of all movies, which the signature `include_seen` names here."""
    answer = model.signatures["include_seen"](context_movie_id=tf.constant([history or [0]], tf.int64))
    return dict(zip(answer["movie_id"].numpy()[0].tolist(), answer["score"].numpy()[0].tolist(), strict=True))


ids = st.integers(1, MOVIES) | st.just(UNKNOWN)
genres = st.lists(st.sampled_from([*GENRES, "No such genre"]), max_size=2).map(tuple)
filters_of = st.builds(
    Filters,
    allow=st.none() | st.lists(ids, min_size=1, max_size=40).map(tuple),
    deny=st.lists(ids, max_size=20).map(tuple),
    genres=genres,
    without_genres=genres,
    first_year=st.sampled_from([0, 1950, 1970, 2020]),
    last_year=st.sampled_from([0, 1949, 1980, 2000]),
)
rows_of = st.lists(st.tuples(st.lists(ids, max_size=12), filters_of, st.booleans()), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(rows_of)
def test_an_answer_holds_what_the_filters_leave_and_nothing_else_by_the_scores_of_the_plain_question(
    model: Any, rows: list[tuple[list[int], Filters, bool]]
) -> None:
    histories, filters, include_seen = zip(*rows, strict=True)
    for answer, history, row_filters, with_seen in zip(
        ask(model, histories, filters, include_seen), histories, filters, include_seen, strict=True
    ):
        scores = all_scores(model, history)
        left = {
            movie_id
            for movie_id in range(1, MOVIES + 1)
            if passes(varied(movie_id), row_filters) and (with_seen or movie_id not in history)
        }
        assert {movie for movie, _ in answer} == left
        assert len(answer) == len(left)
        found = [score for _, score in answer]
        assert found == sorted(found, reverse=True)
        np.testing.assert_allclose(found, [scores[movie] for movie, _ in answer], rtol=1e-4, atol=1e-5)


def test_a_catalogue_without_genres_or_years_takes_filters_too(tmp_path: Path) -> None:
    bare = export_untrained_model(tmp_path / "1", 20, make_movie=lambda id_: Movie(id_, f"Number {id_}", 0, ()))
    model = tf.saved_model.load(str(bare))
    everything, of_a_genre, denied, dated = ask(
        model,
        [[3]] * 4,
        [Filters(), Filters(genres=("Drama",)), Filters(deny=(5,), without_genres=("Drama",)), Filters(first_year=1)],
        [False] * 4,
    )
    assert {movie for movie, _ in everything} == set(range(1, 21)) - {3}
    assert (of_a_genre, dated) == ([], [])
    assert {movie for movie, _ in denied} == set(range(1, 21)) - {3, 5}


def test_without_filters_the_answer_is_that_of_serving_default(model: Any) -> None:
    history = [3, 5, 8]
    [answer] = ask(model, [history], [Filters()], [False])
    plain = model.signatures["serving_default"](context_movie_id=tf.constant([history], tf.int64))
    left = MOVIES - len(history)
    assert [movie for movie, _ in answer] == plain["movie_id"].numpy()[0, :left].tolist()
    np.testing.assert_array_equal([score for _, score in answer], plain["score"].numpy()[0, :left])


def test_a_list_of_unknown_movies_alone_leaves_none(model: Any) -> None:
    assert ask(model, [[3]], [Filters(allow=(UNKNOWN,))], [False]) == [[]]


def test_a_history_without_a_known_movie_gets_what_is_popular_among_what_is_left(folder: Path) -> None:
    recommender = Recommender.load(folder)
    comedies = [movie.id for movie in map(varied, range(1, MOVIES + 1)) if "Comedy" in movie.genres]
    popular = [movie.movie_id for movie in recommender.recommend([], 100)]
    answer = recommender.recommend([], 100, filters=Filters(genres=("Comedy",)))
    assert [movie.movie_id for movie in answer] == [movie_id for movie_id in popular if movie_id in comedies]
    assert all("Comedy" in movie.genres for movie in answer)


def test_a_model_of_an_earlier_version_says_that_it_takes_no_filters(folder: Path, tmp_path: Path) -> None:
    model = tf.saved_model.load(str(folder))
    kept = {name: function for name, function in model.signatures.items() if name != "filtered"}
    tf.saved_model.save(model, str(tmp_path / "1"), signatures=kept)
    (tmp_path / "1" / "assets.extra").mkdir(exist_ok=True)
    catalogue = (folder / "assets.extra" / "catalogue.jsonl").read_bytes()
    (tmp_path / "1" / "assets.extra" / "catalogue.jsonl").write_bytes(catalogue)
    earlier = Recommender.load(tmp_path / "1")
    with pytest.raises(Exception, match="takes no filters") as caught:
        earlier.recommend([3], filters=Filters(deny=(4,)))
    assert caught.value.code == "M32"
    assert len(earlier.recommend([3], 10, filters=Filters())) == 10
