"""A few eval histories with what a model recommends for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from components.report.report_model import RecommendedMovie, Sample
from data import features
from data.movie_ids import MovieId, plain_id
from serving.artifact_files import example_files
from serving.recommender import Recommender

SAMPLES = 3
SAMPLE_K = 5


def sample_recommendations(model: Path, examples: Path, count: int = SAMPLES, k: int = SAMPLE_K) -> list[Sample]:
    """Return what a model recommends for the first few eval examples with a full context.

    Parameters
    ----------
    model
        A SavedModel's folder, published or not.
    examples
        Folder of the Examples artifact.
    count
        How many examples.
    k
        Movies recommended for each.
    """
    recommender = Recommender.load(model)
    windows = list(_first_windows(example_files(str(examples), "eval"), count))
    answers = recommender.recommend_batch([context for context, _ in windows], k=k) if windows else []
    return [
        Sample(
            history=[recommender.catalogue.title(movie_id) for movie_id in context],
            label=recommender.catalogue.title(label),
            recommended=[RecommendedMovie(rank=movie.rank, title=movie.title, score=movie.score) for movie in answer],
            label_rank=next((movie.rank for movie in answer if movie.movie_id == label), None),
        )
        for (context, label), answer in zip(windows, answers, strict=True)
    ]


def _first_windows(files: list[str], count: int) -> Iterable[tuple[list[MovieId], MovieId]]:
    """Yield context and label of the first few examples with a full context, as movie ids."""
    found = 0
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        context = _ids(example[features.CONTEXT_MOVIE_ID])
        if example[features.CONTEXT_LENGTH].int64_list.value[0] < len(context):
            continue
        yield context, _ids(example[features.LABEL_MOVIE_ID])[0]
        found += 1
        if found == count:
            return


def _ids(feature: tf.train.Feature) -> list[MovieId]:
    return [plain_id(value) for value in feature.bytes_list.value or feature.int64_list.value]
