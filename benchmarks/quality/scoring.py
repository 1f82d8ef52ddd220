"""One exact scorer for every system, and what is computed from the ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer_module.dataset import Windows
from trainer_module.model import NextMovieModel
from trainer_module.ranking import rank_of_label, seen_mask

Scorer = Callable[[np.ndarray], "np.ndarray | tf.Tensor"]
"""Contexts int `[n, length]` to scores float32 `[n, num_movies]`."""

CUTOFFS = (1, 5, 10, 50, 100)
_BATCH = 1024
_TOLD_APART_BY = 4
_TOP = 10
_BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True)
class Ranks:
    """What a system did on a set of windows.

    Attributes
    ----------
    excluded
        int64 `[n]`: the labels' ranks from 1, with the context's own movies left out.
    unfiltered
        int64 `[n]`: the same with all movies offered.
    recommended
        Distinct movies in anyone's first ten, context left out.
    num_movies
        Size of the catalogue.
    """

    excluded: np.ndarray
    unfiltered: np.ndarray
    recommended: int
    num_movies: int


def scorer_of(model: NextMovieModel) -> Scorer:
    """Return a trained model's scorer, with its candidates as they stand now."""
    candidates = model.candidate_tower.catalogue()

    @tf.function(reduce_retracing=True)
    def score(context: tf.Tensor) -> tf.Tensor:
        return tf.matmul(model.query_tower(context, training=False), candidates, transpose_b=True)

    return lambda context: score(tf.constant(context))


def rank_windows(
    score: Scorer,
    windows: Windows,
    num_movies: int,
    histories: Sequence[np.ndarray] | None = None,
    *,
    reads_histories: bool = False,
) -> Ranks:
    """Rank the label of each window exactly; ties and labels outside the vocabulary count against the system.

    Parameters
    ----------
    score
        Is given contexts, or where it reads histories these.
    windows
        What to rank.
    num_movies
        Size of the vocabulary.
    histories
        For each window the movies that are left out beside its context: see `DataSet.histories`.
    reads_histories
        Whether the scorer reads them too, without the movies that train never shows.
    """

    @tf.function(reduce_retracing=True)
    def rank(scores: tf.Tensor, left_out: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, ...]:
        seen = seen_mask(left_out, num_movies)
        top = tf.math.top_k(tf.where(seen, scores.dtype.min, scores), k=min(_TOP, num_movies)).indices
        return rank_of_label(scores, label - 1, seen), rank_of_label(scores, label - 1), top

    parts = []
    order = np.arange(len(windows))
    if histories is not None and reads_histories:
        histories = [history[history > 0] for history in histories]
        # Queries of one user together: they are the beginnings of one timeline, which is read once.
        order = np.lexsort(_padded([history[:_TOLD_APART_BY] for history in histories]).T)
    for start in range(0, len(windows), _BATCH):
        batch = windows.take(order[start : start + _BATCH])
        left_out, asked = batch.context, batch.context
        if histories is not None:
            whole = _padded([histories[row] for row in order[start : start + _BATCH]])
            left_out = np.concatenate([left_out, whole], axis=1)
            asked = whole if reads_histories else asked
        scores = tf.convert_to_tensor(np.ascontiguousarray(score(asked)), tf.float32)
        parts.append([output.numpy() for output in rank(scores, tf.constant(left_out), tf.constant(batch.label))])
    excluded, unfiltered, top = (np.concatenate(columns)[np.argsort(order)] for columns in zip(*parts, strict=True))
    return Ranks(excluded, unfiltered, recommended=len(np.unique(top)), num_movies=num_movies)


def _padded(histories: Sequence[np.ndarray]) -> np.ndarray:
    """Return histories as int32 `[n, longest]`, 0 standing for no movie."""
    padded = np.zeros((len(histories), max(map(len, histories))), np.int32)
    for row, history in enumerate(histories):
        padded[row, : len(history)] = history
    return padded


def recall(ranks: np.ndarray, k: int) -> float:
    """Return the share of ranks `[n]` within the first k."""
    return float(np.mean(ranks <= k))


def gains(ranks: np.ndarray, k: int = _TOP) -> np.ndarray:
    """Return each query's NDCG@k, float `[n]`: 1 / log2(rank + 1) within the first k, else 0."""
    return np.where(ranks <= k, 1 / np.log2(ranks + 1.0), 0.0)


def interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean (percentiles, after Efron, 1979).

    Parameters
    ----------
    values
        float or bool `[n]`: one a query.
    seed
        Fixes the resampling.
    """
    generator = np.random.default_rng(seed)
    # Resampling n of n with replacement gives each value a multinomial count; drawing the counts of distinct values
    # draws the same distribution, and there are few of them.
    distinct, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    draws = generator.multinomial(counts.sum(), counts / counts.sum(), size=_BOOTSTRAP_SAMPLES)
    low, high = np.percentile(draws @ distinct / counts.sum(), [2.5, 97.5])
    return float(low), float(high)
