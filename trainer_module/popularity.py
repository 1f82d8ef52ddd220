"""Recent popularity, a floor for the gate, and the stretch of periods that it counts, chosen on train alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.releases.catalogue import Catalogue

NUM_COVERING = 10
"""Movies by which stretches are compared: as many as the gate's recall@10 looks at."""

NEWEST_PART = 10
"""Stretches are compared on the newest tenth of train labels, as large a part as the default temporal split holds out.
A whole number, because 3 labels are no tenth of 30 in floating point.
"""


def counts_by_period(catalogue: Catalogue, movie_ids: np.ndarray) -> np.ndarray | None:
    """Return the catalogue's counts of train labels in the vocabulary's order.

    Parameters
    ----------
    catalogue
        The catalogue that was generated with the examples.
    movie_ids
        `[num_movies]`: the vocabulary's ids.

    Returns
    -------
    np.ndarray or None
        int64 `[num_movies, num_periods]`, zero for a movie that the catalogue lacks; None if it holds no counts.
    """
    if catalogue.train_labels is None:
        return None
    places = catalogue.indices_of(movie_ids)
    return np.where(places[:, np.newaxis] >= 0, catalogue.train_labels[places], 0)


def counts_of_range(catalogues: Sequence[Catalogue], movie_ids: np.ndarray) -> np.ndarray | None:
    """Return the counts of train labels of several spans, each of which has periods of its own.

    Parameters
    ----------
    catalogues
        The spans' catalogues, the newest first.
    movie_ids
        `[num_movies]`: the vocabulary's ids.

    Returns
    -------
    np.ndarray or None
        int64 `[num_movies, num_spans * num_periods]`, the oldest span's periods first; None if a catalogue holds none.
    """
    counts = [counts_by_period(catalogue, movie_ids) for catalogue in reversed(catalogues)]
    known = [of_span for of_span in counts if of_span is not None]
    return np.concatenate(known, axis=1) if len(known) == len(counts) else None


def recent_popularity(counts: np.ndarray) -> np.ndarray:
    """Return the places of movies by how often they were labels lately.

    Movies are compared by their labels within the last periods of train, as many as `choose_stretch` says, and those
    that are equal by their labels of all time. This is the floor that a model has to clear where later
    examples are held out: there, popularity of all time is easy to beat.

    Parameters
    ----------
    counts
        int64 `[num_movies, num_periods]`: how often each movie is a train label in each period, oldest first.

    Returns
    -------
    np.ndarray
        int64 `[num_movies]`: 0 for the least popular, and one more with each step up. Movies that are equal in both
        share a number, so that they still tie. Small enough to be exact in float32, unlike the counts.
    """
    return _places(counts, choose_stretch(counts))


def choose_stretch(counts: np.ndarray) -> int:
    """Return how many of the last periods recent popularity counts, chosen by forward chaining within train.

    The newest periods that together hold at least a tenth of the labels are set apart. Of the last 1, 2, 4, ... periods
    before them, and of all, the stretch is taken whose most popular movies are most often the newest labels::

        coverage(s) = sum of newest[m] over movies m with rank_s(m) <= NUM_COVERING
        rank_s(m)   = number of movies, m included, that are no less popular than m within the stretch s

    So the choice is made as its result is used: from what came before to what comes next, ties counting against, and
    without a look at held-out examples. Of stretches that cover as much the longest is taken, having the most labels.

    Parameters
    ----------
    counts
        int64 `[num_movies, num_periods]`: how often each movie is a train label in each period, oldest first.

    Returns
    -------
    int
        A power of two, or `num_periods` for all of train: also where nothing lies before the newest periods,
        because there are no labels, or (nearly) all are in one period.
    """
    num_periods = counts.shape[1]
    from_newest = np.cumsum(counts.sum(axis=0)[::-1])
    num_newest = int(np.searchsorted(NEWEST_PART * from_newest, from_newest[-1])) + 1
    earlier, newest = counts[:, :-num_newest], counts[:, -num_newest:].sum(axis=1)
    if not earlier.any():
        return num_periods
    stretches = [2**power for power in range(num_periods.bit_length()) if 2**power < num_periods] + [num_periods]
    return max(stretches, key=lambda stretch: (_coverage(_places(earlier, stretch), newest), stretch))


def _coverage(places: np.ndarray, newest: np.ndarray) -> int:
    """Return how many of the newest labels are among the most popular movies."""
    ranks = len(places) - np.searchsorted(np.sort(places), places)
    return int(newest[ranks <= NUM_COVERING].sum())


def _places(counts: np.ndarray, stretch: int) -> np.ndarray:
    """Return each movie's place from the least popular, by its labels in the stretch and then by those of all time.

    The stretch ends with the last period that holds labels.
    """
    end = int(np.flatnonzero(counts.any(axis=0)).max(initial=-1)) + 1
    recent = counts[:, max(end - stretch, 0) : end].sum(axis=1)
    _, places = np.unique(np.stack([recent, counts.sum(axis=1)], axis=1), axis=0, return_inverse=True)
    return places.ravel()
