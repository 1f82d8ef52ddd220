"""A few eval histories with what a model recommends for them, hits and misses alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import tensorflow as tf

from components.report.report_model import RecommendedMovie, Sample
from data import features
from data.movie_ids import MovieId, plain_id
from data.releases.catalogue import Catalogue
from serving.artifact_files import example_files
from serving.recommender import Recommendation, Recommender

SAMPLES = 3
SAMPLE_K = 5

_LOOKED_AT = 200
"""Eval examples among which hits and misses are looked for."""


@dataclass(frozen=True)
class _Window:
    """An eval example: context, what to ask with, the movie that followed, and all of it as it lies in the file."""

    context: list[MovieId]
    history: list[MovieId]
    label: MovieId
    record: bytes


def sample_recommendations(model: Path, examples: Path, count: int = SAMPLES, k: int = SAMPLE_K) -> list[Sample]:
    """Return what a model recommends for some of the first eval examples with a full context.

    Half of them, and one more of an odd number, are the first ones whose label is found among the first `k`, and the
    others are the first ones whose label is not; where one kind is rare, more of the other.

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

    Returns
    -------
    list of Sample
        In the order of the examples.
    """
    recommender = Recommender.load(model)
    windows = list(islice(_full_windows(example_files(str(examples), "eval")), _LOOKED_AT))
    if not windows:
        return []
    ranks = recommender.label_ranks([window.record for window in windows])
    chosen = choose_alike([rank is not None and rank <= k for rank in ranks], count)
    answers = recommender.recommend_batch([windows[place].history for place in chosen], k=k)
    return [
        _sample_of(windows[place], ranks[place], answer, recommender.catalogue)
        for place, answer in zip(chosen, answers, strict=True)
    ]


def choose_alike(is_hit: Sequence[bool], count: int) -> list[int]:
    """Return the places of hits and misses, as many of each as there are, ascending.

    >>> choose_alike([False, False, True, False, True, True, True], 4)
    [0, 1, 2, 4]
    >>> choose_alike([False, False, True, False], 4)
    [0, 1, 2, 3]
    """
    hits = [place for place, hit in enumerate(is_hit) if hit]
    misses = [place for place, hit in enumerate(is_hit) if not hit]
    num_misses = min(len(misses), max(count // 2, count - len(hits)))
    return sorted(hits[: count - num_misses] + misses[:num_misses])


def _sample_of(window: _Window, rank: int | None, answer: Sequence[Recommendation], catalogue: Catalogue) -> Sample:
    label = catalogue.movie(window.label)
    return Sample(
        history=[catalogue.title(movie_id) for movie_id in window.context],
        history_ids=window.history,
        label=label.title,
        label_genres=list(label.genres),
        recommended=[
            RecommendedMovie(
                rank=movie.rank,
                title=movie.title,
                score=movie.score,
                genres=list(movie.genres),
                is_label=movie.movie_id == window.label,
            )
            for movie in answer
        ],
        label_rank=rank,
    )


def _full_windows(files: list[str]) -> Iterator[_Window]:
    """Yield the examples with a full context."""
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        context = _ids(example[features.CONTEXT_MOVIE_ID])
        if example[features.CONTEXT_LENGTH].int64_list.value[0] == len(context):
            # All that evaluation leaves out, where that is more than the context.
            history = _ids(example[features.SEEN_MOVIE_ID]) or context
            yield _Window(context, history, _ids(example[features.LABEL_MOVIE_ID])[0], record)


def _ids(feature: tf.train.Feature) -> list[MovieId]:
    return [plain_id(value) for value in feature.bytes_list.value or feature.int64_list.value]
