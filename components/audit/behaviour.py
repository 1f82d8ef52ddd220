"""How a model behaves: a sample of the eval queries, asked as they are and with one thing changed.

The idea of testing a recommender's behaviour, beside its accuracy, is RecList's (Chia et al., "Beyond NDCG: behavioral
testing of recommender systems with RecList", arXiv 2111.09963).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.audit.figures import BehaviourFigures, Nearness, SliceMisses
from components.audit.overlaps import mean_pairwise_overlap, overlaps, shared_genres, spread
from components.audit.windows import Windows
from data import features
from data.movie_ids import NO_MOVIE

K = 10
"""Movies in an answer that is looked at."""

FEWEST = 50
"""Queries, or misses, below which a mean says nothing: a share of 50 has an interval of 28 points."""

FEWEST_MOVIES = 10 * K
"""Movies of the catalogue below which answers are alike whatever the model does."""

_UNSEEN = features.POPULARITY_BUCKETS[-1]

Ask = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Contexts `[num_queries, length]`, filled up with 0 at the end, to answers `[num_queries, K]`, both as codes."""


@dataclass(frozen=True)
class Answers:
    """The sample's windows, with their answers and those to the changed contexts.

    Attributes
    ----------
    windows
        That were asked.
    plain
        int64 `[num_queries, K]`.
    moved
        By what was changed: float `[n]`, the share of each answer that is another then, for those of the queries that
        can be changed so.
    """

    windows: Windows
    plain: NDArray[np.int64]
    moved: dict[str, NDArray[np.float64]]

    @property
    def is_miss(self) -> NDArray[np.bool_]:
        """Which labels are not among the answers, `[num_queries]`."""
        return ~(self.plain == self.windows.label[:, np.newaxis]).any(axis=1)


def ask_all(ask: Ask, windows: Windows, seed: int, histories: NDArray[np.int64] | None = None) -> Answers:
    """Return the answers to windows, and how far they move if the last movie, the order or one movie changes.

    Parameters
    ----------
    ask
        Asks the model.
    windows
        Any number.
    seed
        Fixes which movie is dropped.
    histories
        int64 `[num_windows, longest]`, filled up with 0 at the end: what is asked with and changed in the place of the
        contexts, none of them empty.
    """
    asked = windows if histories is None else replace(windows, context=histories)
    plain = ask(asked.context)
    moved = {}
    for name, (rows, changed) in _changes(asked, seed).items():
        moved[name] = 1.0 - overlaps(plain[rows], ask(changed)) if len(rows) else np.zeros(0)
    return Answers(windows, plain, moved)


def _changes(windows: Windows, seed: int) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return, by what is changed, the rows of the windows that can be, and their changed contexts."""
    context, lengths = windows.context, windows.lengths
    several = np.flatnonzero(lengths >= 2)
    return {
        "last": with_other_last(context, lengths),
        "order": (several, reversed_contexts(context[several], lengths[several])),
        "drop": (several, with_one_dropped(context[several], lengths[several], seed)),
    }


def with_other_last(
    context: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put the last movie of the query before in the place of each one's own last movie.

    Parameters
    ----------
    context
        `[n, length]`, none empty.
    lengths
        `[n]`.

    Returns
    -------
    tuple
        Rows of the queries that don't hold that movie already, and their changed contexts.
    """
    places = lengths[:, np.newaxis] - 1
    other = np.roll(np.take_along_axis(context, places, axis=1), 1, axis=0)
    rows = np.flatnonzero(~(context == other).any(axis=1))
    changed = context.copy()
    np.put_along_axis(changed, places, other, axis=1)
    return rows, changed[rows]


def reversed_contexts(context: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return contexts `[n, length]` with their movies in the opposite order.

    >>> reversed_contexts(np.array([[1, 2, 3], [4, 5, 0]]), np.array([3, 2])).tolist()
    [[3, 2, 1], [5, 4, 0]]
    """
    places = np.arange(context.shape[1])
    backwards = lengths[:, np.newaxis] - 1 - places
    return np.where(backwards >= 0, np.take_along_axis(context, np.maximum(backwards, 0), axis=1), NO_MOVIE)


def with_one_dropped(context: NDArray[np.int64], lengths: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return contexts `[n, length]`, each without one of its movies, which is drawn."""
    dropped = np.random.default_rng(seed).integers(lengths)[:, np.newaxis]
    places = np.arange(context.shape[1])
    sources = np.minimum(places + (places >= dropped), context.shape[1] - 1)
    return np.where(places < lengths[:, np.newaxis] - 1, np.take_along_axis(context, sources, axis=1), NO_MOVIE)


class CoWatching:
    """Which movies stand in a train window with which: of the pairs that are asked about.

    Parameters
    ----------
    labels
        `[n]`, codes.
    answers
        `[n, k]`: movies that are looked for beside each label.
    """

    def __init__(self, labels: NDArray[np.int64], answers: NDArray[np.int64]) -> None:
        self._labels, self._answers = labels, answers
        own, others = (_pair_keys(labels[:, np.newaxis], np.roll(answers, shift, axis=0)) for shift in (0, 1))
        self._wanted = np.union1d(own, others)
        self._is_found = np.zeros(len(self._wanted), dtype=bool)

    def add(self, windows: Windows) -> None:
        """Look for the pairs of label and context movies in some train windows."""
        if not len(self._wanted):
            return
        for place in range(windows.context.shape[1]):
            keys = _pair_keys(windows.label, windows.context[:, place])
            places = np.minimum(np.searchsorted(self._wanted, keys), len(self._wanted) - 1)
            self._is_found[places[self._wanted[places] == keys]] = True

    def shares(self, shift: int = 0) -> NDArray[np.float64]:
        """Return which share of each answer's movies was found beside a label, `[n]`.

        Parameters
        ----------
        shift
            0 for each label's own answer; 1 for that of the query before.
        """
        answers = np.roll(self._answers, shift, axis=0)
        places = np.searchsorted(self._wanted, _pair_keys(self._labels[:, np.newaxis], answers))
        is_found = self._is_found[places] & (answers != NO_MOVIE)
        return is_found.sum(axis=1) / np.maximum((answers != NO_MOVIE).sum(axis=1), 1)


def behaviour_figures(answers: Answers, genres: NDArray[np.bool_], co_watching: CoWatching) -> BehaviourFigures:
    """Return the figures of a sample's answers.

    Parameters
    ----------
    answers
        Of the sample.
    genres
        `[1 + num_movies, num_genres]`: whether a movie, by its code, is of a genre.
    co_watching
        Of the missed labels and their answers, all train windows added.
    """
    windows, is_miss = answers.windows, answers.is_miss
    num_movies = len(genres) - 1
    if len(windows) < FEWEST or num_movies < FEWEST_MOVIES:
        return BehaviourFigures(queries=len(windows))
    moved = {name: float(shares.mean()) if len(shares) >= FEWEST else None for name, shares in answers.moved.items()}
    miss_rate = float(is_miss.mean())
    slices = list(slice_misses(windows, is_miss))
    labels, missed = windows.label[is_miss], answers.plain[is_miss]
    by_genre = [shared_genres(genres, labels, np.roll(missed, shift, axis=0)) for shift in (0, 1)]
    return BehaviourFigures(
        queries=len(windows),
        moved_by_last=moved["last"],
        moved_by_order=moved["order"],
        moved_by_drop=moved["drop"],
        miss_rate=miss_rate,
        slices=slices,
        miss_rate_spread=spread([part.miss_rate for part in slices if part.counted], miss_rate),
        genres=_nearness(*by_genre),
        co_watched=_nearness(co_watching.shares(), co_watching.shares(shift=1)),
        answer_overlap=mean_pairwise_overlap(answers.plain),
    )


def slice_misses(windows: Windows, is_miss: NDArray[np.bool_]) -> Iterator[SliceMisses]:
    """Yield the misses of each slice by popularity and context length; small ones and unseen labels don't count."""
    lengths = windows.lengths
    by_popularity = [
        (features.LABEL_POPULARITY, bucket, windows.popularity == bucket.encode())
        for bucket in features.POPULARITY_BUCKETS
    ]
    by_length = [(features.CONTEXT_LENGTH, str(length), lengths == length) for length in np.unique(lengths).tolist()]
    for feature, value, is_in in [*by_popularity, *by_length]:
        queries = int(is_in.sum())
        if queries:
            yield SliceMisses(
                feature=feature,
                value=value,
                queries=queries,
                miss_rate=float(is_miss[is_in].mean()),
                counted=queries >= FEWEST and value != _UNSEEN,
            )


def _nearness(own: NDArray[np.float64], others: NDArray[np.float64]) -> Nearness | None:
    """Return the means of what is known of both, NaN standing for what is not; None for too few."""
    is_known = ~np.isnan(own) & ~np.isnan(others)
    if is_known.sum() < FEWEST:
        return None
    return Nearness(own=float(own[is_known].mean()), others=float(others[is_known].mean()))


def _pair_keys(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each pair of codes, whichever comes first."""
    return (np.minimum(first, second) << np.int64(32)) | np.maximum(first, second)
