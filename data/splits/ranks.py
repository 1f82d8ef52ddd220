"""Keys and ranks of examples, and the cut among ranks where train ends.

An example is known by its user and its label's position in the user's timeline. A release may be too large to be
sorted, and its blocks are seen one by one: the cut is found by two counts over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.timelines.hashing import keyed_hash, mix64
from data.timelines.timelines import Timelines
from data.timelines.value_tally import ValueTally

NUM_BINS = 1 << 16
_BIN_SHIFT = np.uint64(48)
_ORDER_KEY = 0x6F72646572


@dataclass(frozen=True)
class CutBin:
    """Where the last train example lies: a bin of the histogram, and its rank (from 1) within the bin."""

    bin: int
    rank: int


def example_keys(timelines: Timelines, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a number for each example: the user's lower 32 bits before the upper, and the label's position over them.

    Parameters
    ----------
    timelines
        Timelines of some users.
    rows
        int64 `[n]`: the ratings that are labels.

    Returns
    -------
    NDArray[np.uint64]
        `[n]`, unique over the whole data set where users are numbers below 2**32. Other users are hashes of 64 bits,
        which no two of 10 million examples share but by a chance of one in 370,000.
    """
    users: NDArray[np.uint64] = timelines.ratings["user"][rows]
    return np.bitwise_xor(
        (users << np.uint64(32)) | (users >> np.uint64(32)), timelines.positions[rows].view(np.uint64)
    )


def order_keys(keys: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return the examples' places in the shards, unrelated to the split; unique like the keys."""
    return mix64(keyed_hash(keys, seed) ^ np.uint64(_ORDER_KEY))


def rank_histogram(ranks: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count ranks by their upper 16 bits, int64 `[NUM_BINS]`."""
    return np.bincount((ranks >> _BIN_SHIFT).astype(np.int64), minlength=NUM_BINS).astype(np.int64)


def locate_cut(histogram: NDArray[np.int64], train_fraction: float) -> CutBin | None:
    """Find the bin that holds the last train example; None if train is empty.

    Parameters
    ----------
    histogram
        int64 `[NUM_BINS]`, over the whole release.
    train_fraction
        The share of examples that train.
    """
    num_train = round(int(histogram.sum()) * train_fraction)
    if num_train == 0:
        return None
    cumulative = np.cumsum(histogram)
    found = int(np.searchsorted(cumulative, num_train))
    return CutBin(found, num_train - int(cumulative[found] - histogram[found]))


def ranks_in_bin(ranks: NDArray[np.uint64], cut_bin: CutBin | None) -> ValueTally:
    """Count the distinct ranks within the cut's bin.

    They are few: a bin of hashes holds one in 65,536 examples, and one of times 65,536 seconds.
    """
    if cut_bin is None:
        return ValueTally.of(ranks[:0])
    return ValueTally.of(ranks[(ranks >> _BIN_SHIFT) == np.uint64(cut_bin.bin)])


def find_cut(in_bin: ValueTally, cut_bin: CutBin | None) -> int | None:
    """Find the largest rank that belongs to train; None if train is empty."""
    if cut_bin is None:
        return None
    place = np.searchsorted(np.cumsum(in_bin.counts), cut_bin.rank)
    return int(in_bin.values[place])
