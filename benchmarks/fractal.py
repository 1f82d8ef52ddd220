"""Real ratings, expanded: the Kronecker product of a small copy of their matrix with themselves.

After Belletti et al., "Scalable Realistic Recommendation Datasets through Fractal Expansions" (arXiv 1901.08910): users
and items become more by the same pattern by which the real ones like each other, so that popularity stays as uneven and
timelines as ordered as they are. Two things are simpler here: rows and columns of a block are not shuffled, and a
rating keeps its time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import svds

_BLOCKS_PER_COPY = 2
"""Blocks for each time that the data become larger: on average, half of a block's ratings are kept."""


@dataclass(frozen=True)
class Ratings:
    """Ratings in parallel arrays `[num_ratings]`: users and items as numbers from 0, stars, and times in seconds."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    stars: NDArray[np.float64]
    time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[np.bool_]) -> Ratings:
        """Return the given rows."""
        return Ratings(self.user[rows], self.item[rows], self.stars[rows], self.time[rows])


def expand(ratings: Ratings, num_ratings: int, seed: int = 0) -> Iterator[Ratings]:
    """Yield expanded ratings, a part for each copy of the users.

    Parameters
    ----------
    ratings
        The real ones.
    num_ratings
        How many there are to be, nearly.
    seed
        Fixes which ratings a block keeps.
    """
    blocks = _BLOCKS_PER_COPY * num_ratings / len(ratings)
    copies_of_users = max(1, round(math.sqrt(blocks)))
    copies_of_items = max(1, math.ceil(blocks / copies_of_users))
    shares = kept_shares(ratings, copies_of_users, copies_of_items, num_ratings / len(ratings))
    num_users, num_items = int(ratings.user.max()) + 1, int(ratings.item.max()) + 1
    random = np.random.default_rng(seed)
    for row, of_row in enumerate(shares):
        for column, share in enumerate(of_row):
            kept = ratings.take(random.random(len(ratings)) < share)
            yield Ratings(kept.user + row * num_users, kept.item + column * num_items, kept.stars, kept.time)


def kept_shares(ratings: Ratings, num_rows: int, num_columns: int, total: float) -> NDArray[np.float64]:
    """Return which share of the ratings each block keeps: the rating matrix, made small.

    Parameters
    ----------
    ratings
        The real ones.
    num_rows, num_columns
        Copies of users and of items.
    total
        What all shares add up to, at most; less where some would be above 1.

    Returns
    -------
    NDArray
        float64 `[num_rows, num_columns]`, each from 0 to 1.
    """
    middle = (ratings.stars.max() + ratings.stars.min()) / 2
    matrix = coo_matrix((ratings.stars - middle, (ratings.user, ratings.item))).tocsr()
    rank = min(num_rows, num_columns, min(matrix.shape) - 1)
    left, values, right = svds(matrix, k=rank, v0=np.ones(min(matrix.shape)))
    small = _shrunk(left, num_rows) @ np.diag(values) @ _shrunk(right.T, num_columns).T
    spread = small.max() - small.min()
    shares = (small - small.min()) / spread if spread else np.ones_like(small)
    return np.minimum(shares * total / shares.sum(), 1.0)


def _shrunk(vectors: NDArray[np.float64], num_rows: int) -> NDArray[np.float64]:
    """Average rows to fewer, and make the columns orthonormal again: the nearest such matrix, its polar factor."""
    parts = [part.mean(axis=0) for part in np.array_split(vectors, num_rows)]
    left, _, right = np.linalg.svd(np.stack(parts), full_matrices=False)
    return left @ right
