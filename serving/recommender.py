"""A published model for use from Python, with titles; it needs TensorFlow and nothing else of the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data import features
from data.errors import InputError
from data.movie_ids import MovieId, is_text, plain_id
from data.releases.catalogue import Catalogue
from serving.artifact_files import exists, read_catalogue
from serving.filters import SIGNATURE, Filters, filter_inputs, rectangle
from serving.newest_model import CATALOGUE_ASSET, check_model
from serving.titles import TitleIndex

_ASKED_AT_ONCE = 256
"""Movies whose likes are asked for at once: each is compared with the whole catalogue, in memory."""

MAX_K = 100
"""Movies in the longest answer: the signatures return so many."""


@dataclass(frozen=True)
class Recommendation:
    """One movie of an answer; `rank` counts from 1."""

    rank: int
    movie_id: MovieId
    title: str
    year: int
    genres: tuple[str, ...]
    score: float


class Recommender:
    """A published model and its catalogue.

    Attributes
    ----------
    catalogue
        The movies.

    Examples
    --------
    >>> recommender = Recommender.load("runs/serving/next-movie-default-sample/1")  # doctest: +SKIP
    >>> [movie.title for movie in recommender.recommend([8, 2, 35], k=3)]  # doctest: +SKIP
    """

    def __init__(self, model: tf.Module, catalogue: Catalogue) -> None:
        self._model = model
        self.catalogue = catalogue
        self._type = tf.string if catalogue.has_texts else tf.int64
        self._dtype = object if catalogue.has_texts else np.int64

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Load a version folder.

        Parameters
        ----------
        folder
            A local path or one that TensorFlow's file layer knows, such as `gs://bucket/serving/next-movie/1`.

        Raises
        ------
        InputError
            There is no model of this project's in the folder.
        """
        check_model(str(folder), exists)
        catalogue = read_catalogue(f"{folder}/{CATALOGUE_ASSET}")
        try:
            return cls(tf.saved_model.load(str(folder)), catalogue)
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{folder} holds a damaged model; publish it again ({reason})", code="M06") from error

    @property
    def signatures(self) -> Mapping[str, Any]:
        """The SavedModel's signatures, by name."""
        return self._model.signatures

    def known(self, movie_ids: Sequence[MovieId]) -> list[bool]:
        """Return which movies the model knows: those that were a label or in a context of train.

        To an unknown one, no other is similar: every score of its answer is 0.
        """
        known: list[bool] = []
        for start in range(0, len(movie_ids), _ASKED_AT_ONCE):
            asked = tf.constant(list(movie_ids[start : start + _ASKED_AT_ONCE]), self._type)
            scores = self._model.signatures["similar"](movie_id=asked)["score"].numpy()
            known += (scores != 0).any(axis=1).tolist()
        return known

    @cached_property
    def titles(self) -> TitleIndex:
        """The catalogue's titles, to be searched."""
        return TitleIndex(self.catalogue)

    def recommend(
        self,
        history: Sequence[MovieId],
        k: int = 10,
        *,
        include_seen: bool = False,
        filters: Filters | None = None,
    ) -> list[Recommendation]:
        """Return the `k` best movies (at most `MAX_K`) after `history`, which is movie ids, oldest first.

        Fewer where history and filters leave fewer of the movies that the model knows, perhaps none.
        """
        return self.recommend_batch([history], k, include_seen=include_seen, filters=filters)[0]

    def recommend_batch(
        self,
        histories: Sequence[Sequence[MovieId]],
        k: int = 10,
        *,
        include_seen: bool = False,
        filters: Filters | None = None,
    ) -> list[list[Recommendation]]:
        """Return the answers to many histories, one list for each, in order."""
        return self._named(*self.recommend_ids(histories, k, include_seen=include_seen, filters=filters))

    def recommend_ids(
        self,
        histories: Sequence[Sequence[MovieId]],
        k: int = 10,
        *,
        include_seen: bool = False,
        filters: Filters | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the answers to many histories as arrays: the quick way for whole files.

        Parameters
        ----------
        histories
            Movie ids, oldest first, `num_histories` of any lengths.
        k
            Length of an answer, at most `MAX_K`.
        include_seen
            Offer the histories' own movies too.
        filters
            What every movie of an answer must be; None for any movie.

        Returns
        -------
        tuple
            Movie ids, int64 or texts, and scores float32, `[num_histories, k]`, best first. A row with fewer movies is
            filled up at the end; `answer_lengths` says where.

        Raises
        ------
        InputError
            The filters are not for this data set, or the model is of a time before there were filters.
        """
        padded = rectangle(histories, self.catalogue.pad, self._dtype)
        inputs = {features.CONTEXT_MOVIE_ID: tf.constant(padded, self._type)}
        name = "include_seen" if include_seen else "serving_default"
        if filters is not None and not filters.is_empty:
            self.check_filters(filters)
            name = SIGNATURE
            inputs |= {
                name: tf.constant(values)
                for name, values in filter_inputs(
                    [filters] * len(histories), [include_seen] * len(histories), self.catalogue.pad
                ).items()
            }
        return _first(self._model.signatures[name](**inputs), k)

    def check_filters(self, filters: Filters) -> None:
        """Check that the model can answer within filters.

        Raises
        ------
        InputError
            They are not for this data set, or the model is of a time before there were filters.
        """
        filters.check(self.catalogue)
        if SIGNATURE not in self._model.signatures:
            raise InputError(
                "this model takes no filters, since an earlier version of the project exported it: publish a new one",
                code="M32",
            )

    def similar(self, movie_id: MovieId, k: int = 10) -> list[Recommendation]:
        """Return the `k` movies (at most `MAX_K`) most similar to one; the score is a cosine."""
        answer = self._model.signatures["similar"](movie_id=tf.constant([movie_id], self._type))
        return self._named(*_first(answer, k))[0]

    def label_ranks(self, examples: Sequence[bytes]) -> list[int | None]:
        """Return the exact ranks of examples' labels, as the metrics have them; None for one that can't be found.

        Parameters
        ----------
        examples
            Serialised `tf.Example` windows.
        """
        answer = self._model.signatures["evaluate"](examples=tf.constant(list(examples), tf.string))
        pairs = zip(answer["rank"].numpy().tolist(), answer["catalogue_size"].numpy().tolist(), strict=True)
        return [rank if rank <= size else None for rank, size in pairs]

    def _named(self, ids: np.ndarray, scores: np.ndarray) -> list[list[Recommendation]]:
        lengths = answer_lengths(ids, self.catalogue.pad)
        return [
            [
                self._describe(rank, movie_id, score)
                for rank, (movie_id, score) in enumerate(zip(of_ids[:length], of_scores[:length], strict=True), start=1)
            ]
            for of_ids, of_scores, length in zip(ids.tolist(), scores.tolist(), lengths, strict=True)
        ]

    def _describe(self, rank: int, movie_id: MovieId, score: float) -> Recommendation:
        movie = self.catalogue.movie(movie_id)
        return Recommendation(rank, movie_id, movie.title, movie.year, movie.genres, score)


def answer_lengths(movie_ids: np.ndarray, pad: MovieId = features.PAD_MOVIE_ID) -> list[int]:
    """Return how many movies each row of an answer holds before what fills it up.

    Models of earlier versions fill nothing up: they cut all answers of a batch to the shortest.

    Parameters
    ----------
    movie_ids
        `[num_histories, k]`, from `Recommender.recommend_ids`.
    pad
        The data set's, from its catalogue.
    """
    return np.count_nonzero(movie_ids != pad, axis=1).tolist()


def _first(answer: dict[str, tf.Tensor], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids, texts as Python has them, and scores of the first `k`."""
    ids = answer["movie_id"].numpy()[:, :k]
    if is_text(ids):
        texts = [plain_id(movie_id) for movie_id in ids.ravel().tolist()]
        ids = np.array(texts, dtype=object).reshape(ids.shape)
    return ids, answer["score"].numpy()[:, :k]
