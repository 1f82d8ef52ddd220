"""Blocks of users: ratings sorted out into temporary files that each fit in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.timelines.hashing import mix64
from data.timelines.periods import TimeRange
from data.timelines.timelines import RATING_DTYPE

BYTES_PER_BLOCK = 4 << 20
"""Bytes of the ratings file in a block: 150,000 to 200,000 ratings, whose windows take about 50 MB in memory."""


@dataclass(frozen=True)
class UserBlock:
    """A file of `RATING_DTYPE` rows: all ratings of some users, in the order of the release's file."""

    path: str


@dataclass(frozen=True)
class Spill:
    """A release sorted out into blocks.

    Attributes
    ----------
    blocks
        Blocks that hold any ratings.
    num_ratings, num_users
        Over all blocks.
    movie_ids
        int32 `[n]`: the distinct movies that are rated, ascending.
    time_range
        From the first to the last rating.
    repeated
        A rating, as a `RATING_DTYPE` scalar, that the file holds more than once; None if there is none.
    """

    blocks: tuple[UserBlock, ...]
    num_ratings: int
    num_users: int
    movie_ids: NDArray[np.int32]
    time_range: TimeRange
    repeated: NDArray[np.void] | None


def spill_ratings(ratings: Iterable[NDArray[np.void]], folder: Path, num_blocks: int) -> Spill:
    """Append ratings to the blocks of their users, and return the blocks.

    Parameters
    ----------
    ratings
        `RATING_DTYPE[n]` each, in the order of the release's file; at least one rating in all.
    folder
        Where the blocks go; it exists and is seen by all workers.
    num_blocks
        Users are spread over as many files by a hash; it has no influence on any result.

    Raises
    ------
    OSError
        The files can't be written.
    """
    paths = [folder / f"users-{block:05d}.rows" for block in range(num_blocks)]
    movie_ids = np.empty(0, dtype=np.int32)
    for part in ratings:
        movie_ids = np.union1d(movie_ids, part["movie"])
        block_of = (mix64(part["user"]) % np.uint64(num_blocks)).astype(np.int64)
        # Stable: within a block, ratings keep the order of the file. Numbers of 16 bits are sorted in linear time.
        ordered = part[np.argsort(block_of.astype(np.min_scalar_type(num_blocks)), kind="stable")]
        ends = np.cumsum(np.bincount(block_of, minlength=num_blocks))
        for path, rows in zip(paths, np.split(ordered, ends[:-1]), strict=True):
            if len(rows):
                with path.open("ab") as file:
                    file.write(rows.tobytes())
    blocks = tuple(UserBlock(str(path)) for path in paths if path.exists())
    num_ratings = num_users = 0
    times: list[int] = []
    repeated = None
    for block in blocks:
        rows = read_block(block)
        num_ratings += len(rows)
        num_users += len(np.unique(rows["user"]))
        times += [int(rows["time"].min()), int(rows["time"].max())]
        repeated = find_repeated(rows) if repeated is None else repeated
    return Spill(blocks, num_ratings, num_users, movie_ids, TimeRange(min(times), max(times)), repeated)


def read_block(block: UserBlock) -> NDArray[np.void]:
    """Read a block's ratings, `RATING_DTYPE[n]`."""
    return np.fromfile(block.path, dtype=RATING_DTYPE)


def find_repeated(ratings: NDArray[np.void]) -> NDArray[np.void] | None:
    """Return a rating that occurs twice with the same stars and time; None if none does."""
    pairs = (ratings["user"].astype(np.uint64) << np.uint64(32)) | ratings["movie"].astype(np.uint64)
    ordered_pairs = np.sort(pairs)
    twice = np.unique(ordered_pairs[1:][ordered_pairs[1:] == ordered_pairs[:-1]])
    if not len(twice):
        return None
    # The same movie rated anew at another time is a rating of its own.
    suspects = ratings[np.isin(pairs, twice)]
    suspects = suspects[np.lexsort([suspects[name] for name in RATING_DTYPE.names or ()])]
    repeats = np.flatnonzero(suspects[1:] == suspects[:-1])
    return suspects[repeats[0]] if len(repeats) else None
