"""Blocks of users: ratings sorted out into temporary files that each fit in memory, and there into timelines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.timelines.hashing import mix64
from data.timelines.periods import TimeRange
from data.timelines.timelines import PART_DTYPE, RATING_DTYPE, Ties, Timelines, build_timelines
from data.timelines.value_tally import ValueTally

BYTES_PER_BLOCK = 4 << 20
"""Bytes of the ratings file in a block: 150,000 to 200,000 ratings, whose windows take about 50 MB in memory."""


MAX_WORKERS = 8
"""Each holds a block or a shard, some 60 MB with contexts of 10."""

SECONDS_A_DAY = 24 * 60 * 60


PARTS_SUFFIX = ".parts"
"""How the name of a block's file ends that holds parts of timelines."""


@dataclass(frozen=True)
class UserBlock:
    """A file of the timelines of some users, as `Timelines.ratings` has them.

    Its rows are of `PART_DTYPE` where its name ends with `PARTS_SUFFIX`, and else of `RATING_DTYPE`.
    """

    path: str


@dataclass(frozen=True)
class OrderedBlocks:
    """A release sorted out into blocks of timelines.

    Attributes
    ----------
    blocks
        Blocks that hold any ratings.
    num_ratings, num_users
        Over all blocks.
    time_range
        From the first to the last rating.
    max_stars
        Of all ratings.
    repeated
        A rating, as the `RATING_DTYPE` scalar that was read, which occurs more than once; None if there is none.
    days
        How many ratings are of which day, in days since 1970, before any filter.
    lengths
        How many timelines, after the filters, are how long.
    """

    blocks: tuple[UserBlock, ...]
    num_ratings: int
    num_users: int
    time_range: TimeRange
    max_stars: float
    repeated: NDArray[np.void] | None
    days: ValueTally
    lengths: ValueTally


@dataclass(frozen=True)
class _BlockSummary:
    """All ratings of a block, counted before any filter; the attributes are those of `OrderedBlocks`."""

    num_ratings: int
    num_users: int
    time_range: TimeRange
    max_stars: float
    repeated: NDArray[np.void] | None
    days: ValueTally
    lengths: ValueTally


def available_workers() -> int:
    """Count the processors that this process may use, up to `MAX_WORKERS`."""
    return min(MAX_WORKERS, len(os.sched_getaffinity(0)))


def spill_ratings(
    ratings: Iterable[NDArray[np.void]], folder: Path, num_blocks: int
) -> tuple[list[Path], NDArray[np.int32]]:
    """Append ratings to the files of their users' blocks.

    Parameters
    ----------
    ratings
        `RATING_DTYPE[n]` each, in the order of the release's file; at least one rating in all.
    folder
        Where the files go; it exists and is seen by all workers.
    num_blocks
        Users are spread over as many files by a hash; it has no influence on any result.

    Returns
    -------
    tuple
        The files that hold any ratings, and the distinct movies that are rated, int32 `[n]`, ascending.

    Raises
    ------
    OSError
        The files can't be written.
    """
    paths = [folder / f"users-{block:05d}.rows" for block in range(num_blocks)]
    rated = np.empty(0, dtype=np.int32)
    for part in ratings:
        rated = np.union1d(rated, part["movie"])
        block_of = (mix64(part["user"]) % np.uint64(num_blocks)).astype(np.int64)
        # Stable: within a block, ratings keep the order of the file. Numbers of 16 bits are sorted in linear time.
        ordered = part[np.argsort(block_of.astype(np.min_scalar_type(num_blocks)), kind="stable")]
        ends = np.cumsum(np.bincount(block_of, minlength=num_blocks))
        for path, rows in zip(paths, np.split(ordered, ends[:-1]), strict=True):
            if len(rows):
                with path.open("ab") as file:
                    file.write(rows.tobytes())
    return [path for path in paths if path.exists()], rated


def order_blocks(
    files: Sequence[Path],
    codes_of: Callable[[NDArray[np.int32]], NDArray[np.integer]],
    *,
    min_rating: float,
    min_timeline_length: int,
    ties: Ties = "as_given",
    drop_repeats: bool = False,
) -> OrderedBlocks:
    """Turn files of ratings into blocks of timelines, in place.

    Parameters
    ----------
    files
        From `spill_ratings`; at least one.
    codes_of
        Returns the codes of the movies that the files hold, `[n]` to `[n]`.
    min_rating, min_timeline_length, ties, drop_repeats
        Which ratings and users are kept, and in which order: see `build_timelines`.

    Raises
    ------
    OSError
        The files can't be written.
    """
    build = partial(
        build_timelines,
        min_rating=min_rating,
        min_timeline_length=min_timeline_length,
        ties=ties,
        drop_repeats=drop_repeats,
    )
    order = partial(_order_block, codes_of=codes_of, build=build)
    with ThreadPoolExecutor(available_workers()) as pool:
        summaries = list(pool.map(order, files))
    return OrderedBlocks(
        blocks=tuple(UserBlock(str(path)) for path in files),
        num_ratings=sum(summary.num_ratings for summary in summaries),
        num_users=sum(summary.num_users for summary in summaries),
        time_range=TimeRange(
            min(summary.time_range.first for summary in summaries),
            max(summary.time_range.last for summary in summaries),
        ),
        max_stars=max(summary.max_stars for summary in summaries),
        repeated=next((summary.repeated for summary in summaries if summary.repeated is not None), None),
        days=reduce(ValueTally.merge, (summary.days for summary in summaries)),
        lengths=reduce(ValueTally.merge, (summary.lengths for summary in summaries)),
    )


def _order_block(
    path: Path,
    codes_of: Callable[[NDArray[np.int32]], NDArray[np.integer]],
    build: Callable[[NDArray[np.void]], Timelines],
) -> _BlockSummary:
    """Put timelines into the place of a file of ratings."""
    rows = np.fromfile(path, dtype=RATING_DTYPE)
    repeated = find_repeated(rows)
    rows["movie"] = codes_of(rows["movie"])
    timelines = build(rows)
    path.write_bytes(timelines.ratings.tobytes())
    return _BlockSummary(
        num_ratings=len(rows),
        num_users=len(np.unique(rows["user"])),
        time_range=TimeRange(int(rows["time"].min()), int(rows["time"].max())),
        max_stars=float(rows["stars"].max()),
        repeated=repeated,
        days=ValueTally.of(rows["time"] // SECONDS_A_DAY),
        lengths=ValueTally.of(timelines.positions[timelines.is_last] + 1),
    )


def read_timelines(block: UserBlock) -> Timelines:
    """Read a block's timelines."""
    return parse_timelines(block.path, Path(block.path).read_bytes())


def parse_timelines(name: str, content: bytes) -> Timelines:
    """Return the timelines in a block's file, given its name and its content."""
    return Timelines.of(np.frombuffer(content, dtype=PART_DTYPE if name.endswith(PARTS_SUFFIX) else RATING_DTYPE))


def find_repeated(ratings: NDArray[np.void]) -> NDArray[np.void] | None:
    """Return a rating that occurs twice with the same stars and time; None if none does."""
    # Different pairs may share a number: it only tells which ratings to compare.
    pairs = mix64(ratings["user"]) + ratings["movie"].astype(np.uint64)
    ordered_pairs = np.sort(pairs)
    twice = np.unique(ordered_pairs[1:][ordered_pairs[1:] == ordered_pairs[:-1]])
    if not len(twice):
        return None
    # The same movie rated anew at another time is a rating of its own.
    suspects = ratings[np.isin(pairs, twice)]
    suspects = suspects[np.lexsort([suspects[name] for name in RATING_DTYPE.names or ()])]
    repeats = np.flatnonzero(suspects[1:] == suspects[:-1])
    return suspects[repeats[0]] if len(repeats) else None
