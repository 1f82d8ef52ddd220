"""The vectorised core and the whole command against a plain second implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_helpers import (
    as_features,
    parse_example,
    read_100k_release,
    read_csv_release,
    read_examples,
    write_csv_release,
)
from hypothesis import given
from hypothesis import strategies as st
from plain_reference import PlainMovie, PlainRating, plain_examples, plain_popularity, plain_split

from data.examples.encoding import encode_examples
from data.examples.feature_table import FeatureTable
from data.generate import generate
from data.movie_ids import MovieId, id_array
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue, Movie
from data.timelines.timelines import RATING_DTYPE, build_timelines
from data.timelines.windows import build_windows, label_rows, window_dtype

_GENRES = ("Action", "Comedy", "Drama", "Film-Noir")

ratings_lists = st.lists(
    st.builds(
        PlainRating,
        user=st.integers(1, 4),
        movie=st.integers(1, 12),
        stars=st.integers(1, 10).map(lambda halves: halves / 2),
        # Few times, so that ties are common.
        time=st.integers(10**9, 10**9 + 6),
    ),
    max_size=60,
)
movie_lists = st.dictionaries(
    st.integers(1, 10),  # movies 11 and 12 are never listed
    st.builds(
        PlainMovie,
        title=st.sampled_from(["Plain", "Dated (1995)", "Twice (1951) (1999)", "Odd (19951) (95)"]),
        genres=st.lists(st.sampled_from(_GENRES), max_size=4, unique=True).map(tuple),
    ),
    max_size=10,
)


def _as_array(ratings: list[PlainRating]) -> np.ndarray:
    return np.array([tuple(rating) for rating in ratings], dtype=RATING_DTYPE)


@given(
    ratings=ratings_lists,
    movies=movie_lists,
    min_timeline_length=st.integers(2, 5),
    max_context_length=st.integers(1, 6),
    max_genres=st.integers(1, 9),
    min_rating=st.sampled_from([0.0, 2.0, 2.5, 5.0]),
)
def test_windows_of_any_timelines_are_those_of_the_reference(
    ratings: list[PlainRating],
    movies: dict[int, PlainMovie],
    min_timeline_length: int,
    max_context_length: int,
    max_genres: int,
    min_rating: float,
):
    settings = {
        "min_timeline_length": min_timeline_length,
        "max_context_length": max_context_length,
        "max_context_movie_genre_length": max_genres,
        "min_rating": min_rating,
    }
    expected = plain_examples(ratings, movies, **settings)

    listed = [
        Movie(
            movie,
            title,
            int(title[title.index("(") + 1 :][:4]) if "(1995)" in title or "(1951)" in title else 0,
            genres,
        )
        for movie, (title, genres) in movies.items()
    ]
    catalogue = Catalogue.of(listed, {rating.movie for rating in ratings})

    rows = _as_array(ratings)
    rows["movie"] = catalogue.codes_of(rows["movie"])
    timelines = build_timelines(rows, min_rating=min_rating, min_timeline_length=min_timeline_length)
    rows = label_rows(timelines)
    windows = build_windows(timelines, rows, max_context_length)
    table = FeatureTable(catalogue, GenerateOptions(release="sample", **settings))
    found = [parse_example(serialised) for serialised in encode_examples(table.features_of(windows))]

    # The bucket is not known before the split: all windows are built with the first.
    everything_head = {rating.movie: "head" for rating in ratings}
    assert found == [as_features(example, everything_head) for example in expected]
    assert timelines.ratings["user"][rows].tolist() == [example.user for example in expected]
    assert timelines.positions[rows].tolist() == [example.position for example in expected]
    assert timelines.is_last[rows].tolist() == [example.is_last for example in expected]


def test_features_are_those_of_the_movies_codes_and_pads_have_none():
    catalogue = Catalogue.of([Movie(3, "A", 1951, ("War",)), Movie(2**31 - 1, "B", 1995, ("Drama", "War"))])
    windows = np.zeros(2, dtype=window_dtype(2))
    windows["movies"], windows["label"] = [[2, 0], [1, 2]], [1, 2]
    table = FeatureTable(catalogue, GenerateOptions(release="sample", max_context_movie_genre_length=2))
    features = table.features_of(windows)
    assert features["context_movie_id"].tolist() == [[2**31 - 1, 0], [3, 2**31 - 1]]
    assert features["label_movie_id"].tolist() == [[3], [2**31 - 1]]
    assert features["context_movie_year"].tolist() == [[1995, 0], [1951, 1995]]
    assert features["context_movie_genre"].tolist() == [[b"Drama", b"War"], [b"War", b"Drama"]]


@pytest.mark.parametrize(
    ("ids", "pad"), [((0, -4, 7), -1), (("", "a,b", "Ünï"), "<pad>"), (("UNK", "<pad>"), ""), ((5, 2**40), 0)]
)
def test_any_ids_go_in_and_come_out_and_the_pad_is_none_of_them(ids: tuple[MovieId, ...], pad: MovieId):
    catalogue = Catalogue.of([Movie(movie_id, "A", 0, ()) for movie_id in ids])
    windows = np.zeros(len(ids), dtype=window_dtype(2))
    windows["movies"][:, 0] = windows["label"] = catalogue.codes_of(id_array(ids, text=isinstance(pad, str)))
    table = FeatureTable(catalogue, GenerateOptions(release="sample"))
    examples = [parse_example(serialised) for serialised in encode_examples(table.features_of(windows))]

    assert [example["label_movie_id"] for example in examples] == [(movie_id,) for movie_id in ids]
    assert [example["context_movie_id"] for example in examples] == [(movie_id, pad) for movie_id in ids]


def _assert_same(folder: Path, expected_splits: tuple[list, list]) -> None:
    popularity = plain_popularity(expected_splits[0])
    for split, examples in zip(("train", "eval"), expected_splits, strict=True):
        assert read_examples(folder, split) == [as_features(example, popularity) for example in examples]


@pytest.mark.parametrize("split", ["random", "leave_one_out", "temporal"])
def test_generated_shards_hold_the_reference_examples_in_the_order_of_the_hash(
    small_release: Path, tmp_path: Path, split: str
):
    options = GenerateOptions(release="ml-latest-small", split=split, train_fraction=0.8, seed=7, shards=3)
    generate(options, tmp_path / "out", source=small_release)

    examples = plain_examples(*read_csv_release(small_release))
    _assert_same(tmp_path / "out", plain_split(examples, split, train_fraction=0.8, seed=7))


def test_rare_labels_are_bucketed_by_their_rank_in_train(tmp_path: Path):
    # The movies of a place come round ever more slowly: 80 in all, 400, 2,000, and 3,000 seen once each.
    ratings = [
        PlainRating(user, 1 + 10_000 * place + user % num_movies, 4.0, 10**9 + place)
        for user in range(3_000)
        for place, num_movies in enumerate((1, 80, 400, 2_000, 3_000))
        if user
    ]
    source = write_csv_release(tmp_path / "source", ratings, {})
    generate(GenerateOptions(release="ml-latest-small"), tmp_path / "out", source=source)

    train, held_out = plain_split(plain_examples(ratings, {}), "random")
    _assert_same(tmp_path / "out", (train, held_out))
    found = {example["label_popularity"][0] for example in read_examples(tmp_path / "out", "eval")}
    assert found == {"head", "middle", "tail", "unseen"}


def test_examples_of_the_real_ml_latest_small_are_those_of_the_reference(ml_latest_small_folder: Path, tmp_path: Path):
    manifest = generate(GenerateOptions(release="ml-latest-small"), tmp_path / "out", source=ml_latest_small_folder)

    examples = plain_examples(*read_csv_release(ml_latest_small_folder))
    assert manifest.counts.train + manifest.counts.eval == len(examples)
    _assert_same(tmp_path / "out", plain_split(examples, "random"))


def test_examples_of_the_real_ml_100k_are_those_of_the_reference(ml_100k_folder: Path, tmp_path: Path):
    manifest = generate(GenerateOptions(release="ml-100k"), tmp_path / "out", source=ml_100k_folder)

    examples = plain_examples(*read_100k_release(ml_100k_folder))
    assert manifest.counts.ratings == 100_000
    assert manifest.counts.users == 943
    _assert_same(tmp_path / "out", plain_split(examples, "random"))
