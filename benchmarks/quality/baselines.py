"""Recommenders that count: the floor that a trained model has to clear.

Each is fitted to train windows and scores all movies for a batch of contexts. Contexts are int `[n, length]` places
in the vocabulary, oldest first, 0 standing for no movie; labels int `[n]` from 1; scores float32 `[n, num_movies]`,
column c being the movie of index c + 1.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from trainer_module.dataset import Windows


class Baseline(Protocol):
    """What the benchmark asks of a recommender."""

    def score(self, context: np.ndarray) -> np.ndarray:
        """Return float32 `[n, num_movies]` for contexts int `[n, length]`."""


class Popularity:
    """Scores a movie by how often it is a label in train, whatever the context."""

    def __init__(self, train: Windows, num_movies: int) -> None:
        self._counts = label_counts(train, num_movies)

    def score(self, context: np.ndarray) -> np.ndarray:
        """Return the same row for each context."""
        return np.broadcast_to(self._counts, (len(context), len(self._counts)))


class CoOccurrence:
    """Scores a movie by how often it followed each context movie in train, the nearest movies counting most.

    The score of movie j after a context is the sum over context movies i, at distance d = 1 for the last, of

        decay^(d - 1) * count(i, j) / label_count(j)^damping

    where count(i, j) sums `decay^(d - 1)` over the train windows that hold i at distance d before the label j. With a
    decay of 0 only the last movie counts: a first-order Markov chain. The damping keeps popular movies from
    following everything.

    Parameters
    ----------
    train
        The windows to count.
    num_movies
        Size of the vocabulary; the counts take 4 * num_movies^2 bytes.
    decay
        What a movie one place further back counts for, from 0 to 1.
    damping
        Power of the label's count that divides its score.
    """

    def __init__(self, train: Windows, num_movies: int, *, decay: float, damping: float) -> None:
        self._decay = decay
        follows = np.zeros((num_movies + 1, num_movies + 1), np.float32)
        for movie, weight in _by_distance(train.context, decay):
            np.add.at(follows, (movie, train.label), weight.astype(np.float32))
        follows[0] = 0
        damped = np.maximum(label_counts(train, num_movies), 1) ** np.float32(damping)
        self._follows = follows[:, 1:] / damped

    def score(self, context: np.ndarray) -> np.ndarray:
        """Return float32 `[n, num_movies]`."""
        scores = np.zeros((len(context), self._follows.shape[1]), np.float32)
        for movie, weight in _by_distance(context, self._decay):
            scores += weight[:, np.newaxis].astype(np.float32) * self._follows[movie]
        return scores


def label_counts(train: Windows, num_movies: int) -> np.ndarray:
    """Return how often each movie is a label, float32 `[num_movies]`."""
    return np.bincount(train.label, minlength=num_movies + 1)[1:].astype(np.float32)


def _by_distance(context: np.ndarray, decay: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for each column, the movies there and the weights of their distances from the label.

    Contexts are post-padded, so that the last movie stands in another column for each length.
    """
    length = (context > 0).sum(axis=1)
    columns = []
    for column in range(context.shape[1]):
        distance = length - column
        weight = np.where(distance >= 1, np.power(float(decay), np.maximum(distance - 1, 0)), 0.0)
        if weight.any():
            columns.append((context[:, column], weight))
    return columns
