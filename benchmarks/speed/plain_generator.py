"""The generator that one would write first: lists, loops, and a protobuf for each example.

Its semantics are the tests' plain second implementation (`tests/data/plain_reference.py`), which is checked against the
real generator there.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from data import features
from data.options import GenerateOptions

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "data"))
import plain_reference as plain


def generate(options: GenerateOptions, source: Path, output: Path) -> int:
    """Write one compressed shard for each split, and return how many ratings there were."""
    ratings = _read_ratings(source / "ratings.dat")
    examples = plain.plain_examples(ratings, _read_movies(source / "movies.dat"))
    train, held_out = plain.plain_split(
        examples, options.split, train_fraction=options.train_fraction, seed=options.seed
    )
    popularity = plain.plain_popularity(train)
    output.mkdir(parents=True)
    for split, of_split in (("train", train), ("eval", held_out)):
        with tf.io.TFRecordWriter(
            str(output / f"{split}-00000-of-00001.tfrecord.gz"),
            tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1),
        ) as writer:
            for example in of_split:
                writer.write(_encode(example, popularity))
    return len(ratings)


def digest_of_examples(folder: Path) -> str:
    """Return a SHA-256 over all features of all examples, split by split in their order, however they were encoded."""
    digest = hashlib.sha256()
    for split in ("train", "eval"):
        for path in sorted(folder.glob(f"{split}-*")):
            for record in tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator():
                example = tf.train.Example.FromString(record)
                digest.update(example.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _read_ratings(path: Path) -> list[plain.PlainRating]:
    ratings = []
    with path.open(encoding="latin-1") as file:
        for line in file:
            user, movie, stars, time = line.rstrip("\n").split("::")
            ratings.append(plain.PlainRating(int(user), int(movie), float(stars), int(time)))
    return ratings


def _read_movies(path: Path) -> dict[int, plain.PlainMovie]:
    movies = {}
    with path.open(encoding="latin-1") as file:
        for line in file:
            movie, title, genres = line.rstrip("\n").split("::")
            movies[int(movie)] = plain.PlainMovie(title, tuple(genres.split("|")))
    return movies


def _encode(example: plain.PlainExample, popularity: dict[int, str]) -> bytes:
    bucket = popularity.get(example.label_movie_id, features.POPULARITY_BUCKETS[-1])
    values = {
        features.CONTEXT_MOVIE_ID: _ints(example.context_movie_id),
        features.CONTEXT_MOVIE_RATING: tf.train.Feature(
            float_list=tf.train.FloatList(value=example.context_movie_rating)
        ),
        features.CONTEXT_MOVIE_YEAR: _ints(example.context_movie_year),
        features.CONTEXT_MOVIE_GENRE: _bytes(example.context_movie_genre),
        features.LABEL_MOVIE_ID: _ints([example.label_movie_id]),
        features.CONTEXT_LENGTH: _ints([example.context_length]),
        features.LABEL_POPULARITY: _bytes([bucket]),
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


def _ints(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _bytes(values: Sequence[str]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))
