"""Asking a published model from Python, with titles; TensorFlow is all it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data import features
from data.catalogue import CATALOGUE_FILE, Catalogue
from data.errors import InputError


@dataclass(frozen=True)
class Recommendation:
    """One movie of an answer; `rank` counts from 1."""

    rank: int
    movie_id: int
    title: str
    year: int
    genres: tuple[str, ...]
    score: float


class Recommender:
    """A published model and its catalogue.

    Examples
    --------
    >>> recommender = Recommender.load("runs/serving/next-movie-sample-random/1")  # doctest: +SKIP
    >>> [movie.title for movie in recommender.recommend([12, 7, 31], k=3)]  # doctest: +SKIP
    """

    def __init__(self, model: tf.Module, catalogue: Catalogue) -> None:
        self._model = model
        self.catalogue = catalogue

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Load a version folder.

        Raises
        ------
        InputError
            There is no model of this project's in the folder.
        """
        folder = Path(folder)
        catalogue_file = folder / "assets.extra" / CATALOGUE_FILE
        if not (folder / "saved_model.pb").is_file():
            raise InputError(f"{folder} holds no published model: name a version's folder, or run the pipeline first")
        if not catalogue_file.is_file():
            raise InputError(f"{folder} holds a model without {catalogue_file.name}: it is not one of this pipeline's")
        return cls(tf.saved_model.load(str(folder)), Catalogue.load(catalogue_file))

    def recommend(self, history: Sequence[int], k: int = 10, *, include_seen: bool = False) -> list[Recommendation]:
        """Recommend `k` movies (at most 100) to who watched `history`, movie ids with the oldest first."""
        return self.recommend_batch([history], k, include_seen=include_seen)[0]

    def recommend_batch(
        self, histories: Sequence[Sequence[int]], k: int = 10, *, include_seen: bool = False
    ) -> list[list[Recommendation]]:
        """Recommend to many at once; one list for each history, in order."""
        longest = max((len(history) for history in histories), default=0)
        padded = np.full((len(histories), longest), features.PAD_MOVIE_ID, np.int64)
        for row, history in enumerate(histories):
            padded[row, : len(history)] = history
        signature = self._model.signatures["include_seen" if include_seen else "serving_default"]
        return self._named(signature(**{features.CONTEXT_MOVIE_ID: tf.constant(padded)}), k)

    def similar(self, movie_id: int, k: int = 10) -> list[Recommendation]:
        """Find the `k` movies (at most 100) most similar to one; the score is a cosine."""
        return self._named(self._model.signatures["similar"](movie_id=tf.constant([movie_id], tf.int64)), k)[0]

    def _named(self, answer: dict[str, tf.Tensor], k: int) -> list[list[Recommendation]]:
        ids, scores = answer["movie_id"].numpy()[:, :k], answer["score"].numpy()[:, :k]
        return [
            [
                self._describe(rank, int(movie_id), float(score))
                for rank, (movie_id, score) in enumerate(zip(*row, strict=True), start=1)
            ]
            for row in zip(ids, scores, strict=True)
        ]

    def _describe(self, rank: int, movie_id: int, score: float) -> Recommendation:
        movie = self.catalogue.movie(movie_id)
        return Recommendation(rank, movie_id, movie.title, movie.year, movie.genres, score)
