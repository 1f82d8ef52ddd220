"""Embeddings to start from, counted from the train windows.

A GRU that starts from random embeddings spends most of its epochs on finding out which movies belong together, which
counting tells at once. The counts are those of contexts and their labels; nothing is counted inside a context, so that
no label of the eval split enters under any split.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from trainer_module.dataset import Windows

DECAY = 0.85
"""Weight of a context movie for each place further from the label. Validation recall@10 on ml-latest-small at
0.7, 0.85 and 1 was 0.1177, 0.1194 and 0.1184, one seed each: hardly a difference."""

SMOOTHING = 0.75
"""Power of the movies' totals that are divided by: Levy, Goldberg and Dagan, 2015, section 3.1."""


def counted_embeddings(windows: Windows, num_movies: int, dim: int, seed: int) -> np.ndarray:
    """Return embeddings that tell how much more often than by chance movies stand before labels.

    The positive pointwise mutual information of the movies is factorised by a truncated singular value decomposition; a
    movie's embedding is its row of U * sqrt(S) (Levy and Goldberg, 2014, arXiv:1402.3722).

    Parameters
    ----------
    windows
        The windows to fit.
    num_movies
        Size of the vocabulary.
    dim
        Width of an embedding. Where the vocabulary is smaller, the columns beyond it are zero.
    seed
        Fixes the decomposition's start.

    Returns
    -------
    np.ndarray
        float32 `[num_movies + 1, dim]`; row 0, which stands for no movie, is zero. In each column the entry that is
        furthest from zero is positive.
    """
    table = np.zeros((num_movies + 1, dim), np.float32)
    rank = min(dim, num_movies - 1)
    information = mutual_information(windows, num_movies)
    if rank < 1 or information.nnz == 0:
        return table
    start = np.random.default_rng(seed).standard_normal(num_movies)
    vectors, values, _ = scipy.sparse.linalg.svds(information, k=rank, v0=start)
    # A column's sign is free, and follows the last bits of sums, which differ between processors.
    largest = np.abs(vectors).argmax(axis=0)
    vectors *= np.sign(vectors[largest, np.arange(rank)])
    table[1:, :rank] = vectors * np.sqrt(np.maximum(values, 0))
    return table


def mutual_information(windows: Windows, num_movies: int) -> scipy.sparse.csr_matrix:
    """Return the positive pointwise mutual information of movies, float64 `[num_movies, num_movies]`.

    That of movies i and j is max(0, log(n(i, j) * N / (n(i) * n'(j)))) with symmetric decayed counts n of contexts and
    labels, and smoothed totals n'. Row c is the movie of index c + 1.
    """
    return _mutual_information(_decayed_counts(windows, num_movies))


def _decayed_counts(windows: Windows, num_movies: int) -> scipy.sparse.csr_matrix:
    """Return how often movies stand before labels, both ways, float64 `[num_movies, num_movies]`."""
    length = np.count_nonzero(windows.context, axis=1)
    counted = scipy.sparse.csr_matrix((num_movies, num_movies))
    # Place by place: the pairs of all places at once take ten times the memory.
    for place in range(windows.context.shape[1]):
        held = place < length
        pairs = (windows.context[held, place] - 1, windows.label[held] - 1)
        weights = DECAY ** (length[held] - place - 1.0)
        counted += scipy.sparse.coo_matrix((weights, pairs), shape=counted.shape).tocsr()
    return counted + counted.T


def _mutual_information(counts: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    totals = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = totals**SMOOTHING
    cells = counts.tocoo()
    ratio = cells.data * smoothed.sum() / (totals[cells.row] * smoothed[cells.col])
    information = scipy.sparse.coo_matrix(
        (np.maximum(np.log(ratio), 0), (cells.row, cells.col)), shape=counts.shape
    ).tocsr()
    information.eliminate_zeros()
    return information
