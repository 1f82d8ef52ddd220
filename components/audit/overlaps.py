"""How much lists of movies have in common. Movies are codes above 0; 0 fills up a shorter list's end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.movie_ids import NO_MOVIE


def overlaps(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return which share of two answers is the same, whatever the order.

    It is the agreement |A and B| / k at depth k of Webber, Moffat and Zobel, "A similarity measure for indefinite
    rankings", ACM TOIS 28(4), 2010, k being the longer answer's length. Two empty answers are the same.

    Parameters
    ----------
    first, second
        `[num_queries, k]`: the answers to the same queries, none with a movie twice.

    Returns
    -------
    NDArray[np.float64]
        `[num_queries]`, from 0 to 1.

    Examples
    --------
    >>> overlaps(np.array([[7, 8], [7, 8], [7, 0]]), np.array([[8, 7], [8, 9], [7, 8]])).tolist()
    [1.0, 0.5, 0.5]
    """
    same = (first[:, :, np.newaxis] == second[:, np.newaxis, :]) & (first != NO_MOVIE)[:, :, np.newaxis]
    longer = np.maximum((first != NO_MOVIE).sum(axis=1), (second != NO_MOVIE).sum(axis=1))
    return np.where(longer > 0, same.sum(axis=(1, 2)) / np.maximum(longer, 1), 1.0)


def mean_pairwise_overlap(answers: NDArray[np.integer]) -> float | None:
    """Return the mean overlap of any two queries' answers; None for fewer than two queries.

    A movie in c answers is shared by c (c - 1) / 2 pairs of them, so that no pair has to be looked at.

    Parameters
    ----------
    answers
        `[num_queries, k]`, none with a movie twice.

    Examples
    --------
    >>> mean_pairwise_overlap(np.array([[1, 2], [1, 3], [2, 1]]))
    0.6666666666666666
    """
    num_queries, k = answers.shape
    if num_queries < 2 or not k:
        return None
    shown = np.bincount(answers[answers != NO_MOVIE])
    return float((shown * (shown - 1)).sum() / (num_queries * (num_queries - 1) * k))


def spread(rates: Sequence[float], overall: float) -> float | None:
    """Return how far the rates of slices lie from that of all: the mean of |rate - overall|; None without slices.

    It is the miss rate equality difference of Tagliabue et al., "EvalRS: a Rounded Evaluation of Recommender
    Systems", arXiv 2207.05772.

    >>> round(spread([0.5, 0.8], 0.6), 4)
    0.15
    """
    return float(np.mean(np.abs(np.array(rates) - overall))) if rates else None


def shared_genres(
    genres: NDArray[np.bool_], labels: NDArray[np.integer], answers: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return how alike the genres of labels and of answers are: the mean Jaccard index |A and B| / |A or B|.

    Parameters
    ----------
    genres
        `[1 + num_movies, num_genres]`: whether a movie, by its code, is of a genre.
    labels
        `[n]`, codes.
    answers
        `[n, k]`, codes.

    Returns
    -------
    NDArray[np.float64]
        `[n]`: the mean over the answer's movies that have a genre; NaN where label or answer have none.
    """
    of_labels, of_answers = genres[labels][:, np.newaxis, :], genres[answers]
    either = (of_labels | of_answers).sum(axis=2)
    index = (of_labels & of_answers).sum(axis=2) / np.maximum(either, 1)
    counted = of_answers.any(axis=2) & of_labels.any(axis=2)
    number = counted.sum(axis=1)
    return np.where(number > 0, (index * counted).sum(axis=1) / np.maximum(number, 1), np.nan)
