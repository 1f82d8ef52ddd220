"""Catalogues of a few movies, from the vocabulary to the servable check: no array has to be as long as another."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import analyse

from components.serving_check import check_export
from data import features
from data.examples.manifest import DataSizes, Manifest
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, NUM_PERIODS, Catalogue, Movie
from serving.recommender import Recommender
from trainer_module.trainer import run_fn

pytestmark = pytest.mark.slow

CONTEXT_LENGTH = 10
WINDOWS = 120
NO_HURRY_MS = 10_000


def write_examples(root: Path, num_movies: int) -> None:
    """Write an Examples artifact whose contexts are up to ten movies long, repeats and all."""
    random = np.random.default_rng(num_movies)
    lengths = random.integers(1, CONTEXT_LENGTH + 1, WINDOWS)
    labels = random.integers(1, num_movies + 1, WINDOWS)
    # The vocabulary is counted over what train shows: each movie is shown.
    labels[:num_movies] = np.arange(1, num_movies + 1)
    (root / "Split-train").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(root / "Split-train" / "train-00000-of-00001.tfrecord.gz"), "GZIP") as shard:
        for length, label in zip(lengths, labels, strict=True):
            context = [*random.integers(1, num_movies + 1, length), *[0] * (CONTEXT_LENGTH - length)]
            shard.write(as_example(context, label))
    movies = [Movie(id_, f"Movie number {id_} (1999)", 1999, ("Drama",)) for id_ in range(1, num_movies + 1)]
    labelled, counts = np.unique(labels, return_counts=True)
    catalogue = Catalogue.of(movies)
    catalogue = catalogue.with_train_labels(catalogue.codes_of(labelled), labelled % NUM_PERIODS, counts)
    catalogue.save(root / CATALOGUE_FILE)
    Manifest(
        release="sample",
        source_digest="source",
        options=GenerateOptions(release="sample"),
        split="random",
        counts=DataSizes(train=WINDOWS, eval=1, ratings=WINDOWS, users=1, movies=num_movies),
        shards=(),
        catalogue_file=CATALOGUE_FILE,
        catalogue_sha256="catalogue",
        libraries={},
    ).save(root)


def as_example(context: list[int], label: int) -> bytes:
    values = {
        features.CONTEXT_MOVIE_ID: context,
        features.LABEL_MOVIE_ID: [label],
        features.CONTEXT_LENGTH: [len(context) - context.count(0)],
    }
    return tf.train.Example(
        features=tf.train.Features(
            feature={name: tf.train.Feature(int64_list=tf.train.Int64List(value=ids)) for name, ids in values.items()}
        )
    ).SerializeToString()


@pytest.mark.parametrize("num_movies", [1, 2, 5, 11, 19, 20, 30])
def test_a_small_catalogue_is_trained_on_and_exported_and_found_servable(tmp_path, num_movies):
    write_examples(tmp_path / "examples", num_movies)
    analyse(tmp_path, num_movies, CONTEXT_LENGTH)
    model = tmp_path / "model"

    run_fn(
        SimpleNamespace(
            base_model=None,
            custom_config={
                "model": {"embedding_dim": 16, "gru_reads": 2},
                "training": {"epochs": 1, "batch_size": 32, "validation_fraction": 0.1},
            },
            transform_output=str(tmp_path / "transform"),
            train_files=[str(tmp_path / "examples" / "Split-train" / "*")],
            model_run_dir=str(tmp_path / "run"),
            serving_model_dir=str(model),
        )
    )

    assert check_export.main(str(model), NO_HURRY_MS)["findings"] == []
    recommender = Recommender.load(model)
    empty, first, all_ = recommender.recommend_batch([[], [1], list(range(1, num_movies + 1))], k=100)
    assert {movie.movie_id for movie in empty} == set(range(1, num_movies + 1))
    assert {movie.movie_id for movie in first} == set(range(2, num_movies + 1))
    assert all_ == []
    assert len(recommender.similar(1, k=100)) == num_movies - 1
