"""Releases written from plain rows, and examples read back with TensorFlow's own protobufs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import tensorflow as tf
from plain_reference import PlainExample, PlainMovie, PlainRating

CSV_RATINGS = "userId,movieId,rating,timestamp\n"
CSV_MOVIES = "movieId,title,genres\n"
_UNRATED = 2**31 - 1


def write_csv_release(folder: Path, ratings: Iterable[PlainRating], movies: Mapping[int, PlainMovie]) -> Path:
    """Write rows in the format of ml-latest-small; where no movie is given, the list has one that nobody rated."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(CSV_RATINGS)
        file.writelines(f"{user},{movie},{stars},{time}\n" for user, movie, stars, time in ratings)
    with (folder / "movies.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(CSV_MOVIES)
        writer = csv.writer(file)
        for movie, (title, genres) in (movies or {_UNRATED: PlainMovie("Unrated (2000)", ())}).items():
            writer.writerow([movie, title, "|".join(genres) or "(no genres listed)"])
    return folder


def read_csv_release(folder: Path) -> tuple[list[PlainRating], dict[int, PlainMovie]]:
    """Read a CSV release with the standard library."""
    with (folder / "ratings.csv").open(encoding="utf-8", newline="") as file:
        ratings = [
            PlainRating(int(row["userId"]), int(row["movieId"]), float(row["rating"]), int(row["timestamp"]))
            for row in csv.DictReader(file)
        ]
    with (folder / "movies.csv").open(encoding="utf-8", newline="") as file:
        movies = {
            int(row["movieId"]): PlainMovie(row["title"], _listed(row["genres"].split("|")))
            for row in csv.DictReader(file)
        }
    return ratings, movies


def read_100k_release(folder: Path) -> tuple[list[PlainRating], dict[int, PlainMovie]]:
    """Read an ML-100K release with the standard library."""
    names = (
        "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir "
        "Horror Musical Mystery Romance Sci-Fi Thriller War Western"
    )
    genres = names.split()
    ratings = []
    for line in (folder / "u.data").read_text(encoding="latin-1").splitlines():
        user, movie, stars, time = line.split("\t")
        ratings.append(PlainRating(int(user), int(movie), float(stars), int(time)))
    movies = {}
    for line in (folder / "u.item").read_text(encoding="latin-1").split("\n"):
        if line:
            cells = line.split("|")
            marked = [genre for genre, flag in zip(genres, cells[5:], strict=True) if flag == "1"]
            movies[int(cells[0])] = PlainMovie(cells[1], _listed(marked))
    return ratings, movies


def _listed(genres: Iterable[str]) -> tuple[str, ...]:
    return tuple(genre for genre in genres if genre not in ("(no genres listed)", "unknown"))


def read_examples(folder: Path, split: str) -> list[dict[str, tuple]]:
    """Read the examples of a split in the order of the shards, each a dictionary of tuples."""
    files = sorted(str(path) for path in folder.glob(f"{split}-*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    return [parse_example(record) for record in records]


def parse_example(serialised: bytes) -> dict[str, tuple]:
    """Parse an example with Python's protobufs; byte strings become text."""
    features = tf.train.Example.FromString(serialised).features.feature
    return {name: _values(feature) for name, feature in features.items()}


def _values(feature: object) -> tuple:
    kind = feature.WhichOneof("kind")
    values = tuple(getattr(feature, kind).value)
    return tuple(value.decode() for value in values) if kind == "bytes_list" else values


def as_features(example: PlainExample, popularity: Mapping[int, str]) -> dict[str, tuple]:
    """Write a plain example in the form of `read_examples`."""
    return {
        "context_movie_id": example.context_movie_id,
        "context_movie_rating": example.context_movie_rating,
        "context_movie_year": example.context_movie_year,
        "context_movie_genre": example.context_movie_genre,
        "context_length": (example.context_length,),
        "label_movie_id": (example.label_movie_id,),
        "label_popularity": (popularity.get(example.label_movie_id, "unseen"),),
    }
