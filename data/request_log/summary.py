"""Served requests beside train: whether the contexts are alike, and what is taken at which place of an answer.

A context is what the model reads of a history: its last movies, as many as an example holds at most.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.features import POPULARITY_BUCKETS
from data.movie_ids import NO_MOVIE, MovieId, id_array
from data.releases.catalogue import Catalogue
from data.request_log.facts import Position, ServedFacts, Skew
from data.request_log.files import RequestLogReader
from data.request_log.records import Feedback, ServedRequest
from data.splits.base import SplitStrategy
from data.timelines.popularity import PopularityTable
from data.timelines.user_blocks import UserBlock, read_timelines
from data.timelines.windows import build_windows, label_rows

_POSITIONS = 10
"""Places of an answer that are told one by one."""


@dataclass(frozen=True)
class ContextCounts:
    """Contexts, counted.

    Attributes
    ----------
    movies
        int64 `[1 + num_movies]`: how often each movie, by its code, stands in a context; pads are not counted.
    lengths
        int64 `[1 + max_context_length]`: how many contexts hold so many movies.
    """

    movies: NDArray[np.int64]
    lengths: NDArray[np.int64]


def train_contexts(
    blocks: Sequence[UserBlock], strategy: SplitStrategy, cut: int | None, num_movies: int, max_context_length: int
) -> ContextCounts:
    """Count the contexts of the train windows.

    Parameters
    ----------
    blocks
        The timelines.
    strategy, cut
        Which of their windows train: the split, and the largest rank of a train example.
    num_movies
        Of the catalogue.
    max_context_length
        Movies of a context at most.
    """
    movies, lengths = np.zeros(1 + num_movies, np.int64), np.zeros(1 + max_context_length, np.int64)
    for block in blocks:
        timelines = read_timelines(block)
        rows = label_rows(timelines)
        windows = build_windows(timelines, rows[strategy.is_train(timelines, rows, cut)], max_context_length)
        movies += np.bincount(windows["movies"].ravel(), minlength=len(movies))
        lengths += np.bincount(windows["length"], minlength=len(lengths))
    movies[NO_MOVIE] = 0
    return ContextCounts(movies, lengths)


def sum_up(
    log: RequestLogReader, train: ContextCounts, catalogue: Catalogue, popularity: PopularityTable
) -> ServedFacts:
    """Return what a log says beside train. It is read three times; what is in memory is the feedback.

    Parameters
    ----------
    log
        The log.
    train
        The contexts of train.
    catalogue
        Of its movies, by which histories are known.
    popularity
        Of its labels.

    Raises
    ------
    InputError
        The log can't be read, holds no request, or a line of it is no record.
    """
    taken, times = _feedback(log)
    served = _Served(catalogue, len(train.lengths) - 1)
    with_feedback: set[str] = set()
    for record in log.records():
        if isinstance(record, ServedRequest):
            served.add(record, taken.get(record.request_id, frozenset()))
            if record.request_id in taken:
                with_feedback.add(record.request_id)
    if served.first is None or served.last is None:
        raise InputError("the request log holds no request: serve some first, or leave out --requests", code="D30")
    contexts = served.contexts
    return ServedFacts(
        log_sha256=log.digest(),
        requests=served.requests,
        first=served.first,
        last=served.last,
        versions={str(version): count for version, count in sorted(served.versions.items())},
        answered_feedback=len(with_feedback),
        unmatched_feedback=sum(count for request_id, count in times.items() if request_id not in with_feedback),
        unfinished=log.unfinished,
        unknown_share=served.unknown / served.asked if served.asked else None,
        movies=skew(train.movies, contexts.movies),
        popularity=_named(
            POPULARITY_BUCKETS, _by_bucket(train.movies, popularity), _by_bucket(contexts.movies, popularity)
        ),
        history_lengths=_named([str(length) for length in range(len(train.lengths))], train.lengths, contexts.lengths),
        positions=tuple(
            Position(position=place, shown=served.shown[place], taken=served.taken[place])
            for place in range(1, _POSITIONS + 1)
            if served.shown[place]
        ),
        taken_below=sum(count for place, count in served.taken.items() if place > _POSITIONS),
        taken_elsewhere=served.taken_elsewhere,
    )


def skew(train: NDArray[np.int64], served: NDArray[np.int64]) -> Skew:
    """Return the distances between two distributions, given as counts `[n]` of the same values.

    >>> skew(np.array([1, 1, 0]), np.array([0, 3, 3]))
    Skew(l_infinity=0.5, jensen_shannon=0.5, train={}, served={})
    """
    if not train.sum() or not served.sum():
        return Skew(l_infinity=None, jensen_shannon=None)
    first, second = train / train.sum(), served / served.sum()
    middle = (first + second) / 2
    divergence = (_relative_entropy(first, middle) + _relative_entropy(second, middle)) / 2
    return Skew(l_infinity=float(np.abs(first - second).max()), jensen_shannon=divergence)


def _relative_entropy(of: NDArray[np.float64], to: NDArray[np.float64]) -> float:
    """Return the Kullback-Leibler divergence of shares to others, in bits."""
    there = of > 0
    return float((of[there] * np.log2(of[there] / to[there])).sum())


def _named(names: Sequence[str], train: NDArray[np.int64], served: NDArray[np.int64]) -> Skew:
    """Return the distances with the counts of values that occur on either side."""
    counts = list(zip(names, train.tolist(), served.tolist(), strict=True))
    return skew(train, served).model_copy(
        update={
            "train": {name: count for name, count, other in counts if count or other},
            "served": {name: count for name, other, count in counts if count or other},
        }
    )


def _by_bucket(movies: NDArray[np.int64], popularity: PopularityTable) -> NDArray[np.int64]:
    codes = np.flatnonzero(movies)
    buckets = popularity.look_up(codes)
    return np.bincount(buckets, weights=movies[codes], minlength=len(POPULARITY_BUCKETS)).astype(np.int64)


def _feedback(log: RequestLogReader) -> tuple[dict[str, frozenset[MovieId]], Counter[str]]:
    """Return what was taken, and how many records of feedback there are, by the request's id."""
    taken: defaultdict[str, frozenset[MovieId]] = defaultdict(frozenset)
    times: Counter[str] = Counter()
    for record in log.records():
        if isinstance(record, Feedback):
            taken[record.request_id] |= frozenset(record.taken)
            times[record.request_id] += 1
    return dict(taken), times


class _Served:
    """Counts over requests; places of answers count from 1."""

    def __init__(self, catalogue: Catalogue, max_context_length: int) -> None:
        self._catalogue = catalogue
        self._max_context_length = max_context_length
        self.contexts = ContextCounts(
            np.zeros(1 + len(catalogue), np.int64), np.zeros(1 + max_context_length, np.int64)
        )
        self.requests = self.asked = self.unknown = self.taken_elsewhere = 0
        self.first: float | None = None
        self.last: float | None = None
        self.versions: Counter[int] = Counter()
        self.shown: Counter[int] = Counter()
        self.taken: Counter[int] = Counter()

    def add(self, request: ServedRequest, taken: frozenset[MovieId]) -> None:
        """Count a request, of whose answer some movies were taken."""
        self.requests += 1
        self.first = request.time if self.first is None else min(self.first, request.time)
        self.last = request.time if self.last is None else max(self.last, request.time)
        self.versions[request.version] += 1
        known = [movie_id for movie_id in request.history if self._catalogue.may_be_id(movie_id)]
        codes = self._catalogue.codes_of(id_array(known, text=self._catalogue.has_texts))
        context = codes[codes != NO_MOVIE][-self._max_context_length :]
        self.asked += len(request.history)
        self.unknown += len(request.history) - int((codes != NO_MOVIE).sum())
        np.add.at(self.contexts.movies, context, 1)
        self.contexts.lengths[len(context)] += 1
        self.shown.update(range(1, len(request.answer) + 1))
        self.taken.update(place for place, movie_id in enumerate(request.answer, start=1) if movie_id in taken)
        self.taken_elsewhere += len(taken.difference(request.answer))
