"""Blocks of users in, shards out: the steps, and the run of all of them in this process.

A step takes a block of users or a shard, never a single rating, and none depends on another of its kind: here they
run in threads, and `data.beam_generation` gives them to Beam's workers. Between the steps go only small arrays; the
windows themselves travel through files.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.examples.feature_table import FeatureTable
from data.examples.shards import SPLITS, Shard, Split, shard_indices, shard_name, write_shard
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue
from data.splits.base import CutSplit
from data.splits.ranks import CutBin, example_keys, find_cut, locate_cut, order_keys, rank_histogram, ranks_in_bin
from data.timelines.periods import TimeRange, count_by_movie, label_keys
from data.timelines.popularity import PopularityTable
from data.timelines.timelines import Timelines
from data.timelines.user_blocks import UserBlock, available_workers, read_timelines
from data.timelines.value_tally import ValueTally
from data.timelines.windows import build_windows, label_rows, window_dtype

ShardKey = tuple[Split, int]
"""A split and a shard's place in it."""


@dataclass(frozen=True)
class GenerationPlan:
    """What the steps need to know; all workers see all paths."""

    options: GenerateOptions
    num_shards: dict[Split, int]
    time_range: TimeRange
    """Of all ratings of the source."""
    catalogue_path: str
    work_folder: str
    """Takes temporary files."""
    shard_folder: str
    """Takes the shards."""

    @property
    def shard_keys(self) -> list[ShardKey]:
        """Every shard of both splits, train first."""
        return [(split, index) for split in SPLITS for index in range(self.num_shards[split])]


@dataclass(frozen=True)
class WindowSlice:
    """Rows `start` to `stop` of a temporary file of windows."""

    path: str
    start: int
    stop: int


@dataclass(frozen=True)
class GenerationResult:
    """What the steps leave behind.

    Attributes
    ----------
    shards
        Every shard of both splits, empty ones too, train first.
    train_labels
        How often each movie is a train label in each period; the values are `data.timelines.periods.label_keys`.
    cut
        The largest rank of a train example; None where the split has none.
    """

    shards: tuple[Shard, ...]
    train_labels: ValueTally
    cut: int | None


def generate_in_threads(blocks: Sequence[UserBlock], plan: GenerationPlan) -> GenerationResult:
    """Generate the examples of all blocks into shards, in threads: numpy and zlib let each other run.

    Parameters
    ----------
    blocks
        At least one.
    plan
        What to generate, and where.

    Returns
    -------
    GenerationResult
        The shards, and the counts of train labels.

    Raises
    ------
    OSError
        A file can't be written. Steps that have not begun by then are left out.
    """
    options = plan.options
    with ThreadPoolExecutor(available_workers()) as pool:
        cut = _find_cut(pool, blocks, options)
        labels = reduce(ValueTally.merge, pool.map(partial(count_train_labels, plan=plan, cut=cut), blocks))
        popularity = PopularityTable.from_counts(count_by_movie(labels))
        slices: defaultdict[ShardKey, list[WindowSlice]] = defaultdict(list)
        for written in pool.map(partial(_list_windows, plan=plan, cut=cut, popularity=popularity), blocks):
            for key, part in written:
                slices[key].append(part)
        keys = plan.shard_keys
        write = partial(write_shard_of, plan=plan, table=feature_table(plan))
        shards = tuple(pool.map(write, keys, [slices[key] for key in keys]))
    return GenerationResult(shards, labels, cut)


def _find_cut(pool: ThreadPoolExecutor, blocks: Sequence[UserBlock], options: GenerateOptions) -> int | None:
    if not isinstance(options.strategy, CutSplit):
        return None
    histograms = pool.map(partial(histogram, options=options), blocks)
    cut_bin = locate_cut(reduce(np.add, histograms), options.train_fraction)
    counts = pool.map(partial(count_ranks_in_bin, options=options, cut_bin=cut_bin), blocks)
    return find_cut(reduce(ValueTally.merge, counts), cut_bin)


def _list_windows(
    block: UserBlock, plan: GenerationPlan, cut: int | None, popularity: PopularityTable
) -> list[tuple[ShardKey, WindowSlice]]:
    return list(write_windows(block, plan, cut, popularity))


def histogram(block: UserBlock, options: GenerateOptions) -> NDArray[np.int64]:
    """Count a block's examples by rank, int64 `[NUM_BINS]`."""
    return rank_histogram(_ranks(block, options))


def count_ranks_in_bin(block: UserBlock, options: GenerateOptions, cut_bin: CutBin | None) -> ValueTally:
    """Count a block's distinct ranks within the cut's bin."""
    return ranks_in_bin(_ranks(block, options), cut_bin)


def _ranks(block: UserBlock, options: GenerateOptions) -> NDArray[np.uint64]:
    strategy = options.strategy
    if not isinstance(strategy, CutSplit):
        raise TypeError(f"the split {strategy.name} ranks no examples")
    return strategy.ranks(*_timelines(block))


def count_train_labels(block: UserBlock, plan: GenerationPlan, cut: int | None) -> ValueTally:
    """Count how often each movie is a train label in each period, in a block; values are `label_keys`."""
    options = plan.options
    timelines, rows = _timelines(block)
    labels = timelines.ratings[rows[options.strategy.is_train(timelines, rows, cut)]]
    return ValueTally.of(label_keys(labels["movie"], plan.time_range.periods_of(labels["time"])))


def write_windows(
    block: UserBlock, plan: GenerationPlan, cut: int | None, popularity: PopularityTable
) -> Iterator[tuple[ShardKey, WindowSlice]]:
    """Write a block's windows to a temporary file, each shard's together, and tell where each lies."""
    options = plan.options
    timelines, rows = _timelines(block)
    order = order_keys(example_keys(timelines, rows), options.seed)
    train = options.strategy.is_train(timelines, rows, cut)
    keys, num_train = plan.shard_keys, plan.num_shards["train"]
    shards = np.where(train, shard_indices(order, num_train), num_train + shard_indices(order, plan.num_shards["eval"]))
    # Numbers of 16 bits are sorted in linear time.
    by_shard = np.argsort(shards.astype(np.min_scalar_type(len(keys))), kind="stable")
    windows = build_windows(timelines, rows[by_shard], options.max_context_length)
    windows["order"] = order[by_shard]
    windows["popularity"] = popularity.look_up(windows["label"])
    # A worker may be asked twice for one block: each attempt has a file of its own.
    path = Path(plan.work_folder) / f"{Path(block.path).stem}-{uuid.uuid4().hex}.windows"
    path.write_bytes(windows.view(np.uint8).data)
    stops = np.cumsum(np.bincount(shards, minlength=len(keys))).tolist()
    for key, start, stop in zip(keys, [0, *stops[:-1]], stops, strict=True):
        if start < stop:
            yield key, WindowSlice(str(path), start, stop)


def feature_table(plan: GenerationPlan) -> FeatureTable:
    """Read the catalogue that the plan names."""
    return FeatureTable(Catalogue.load(Path(plan.catalogue_path)), plan.options)


def write_shard_of(key: ShardKey, slices: Sequence[WindowSlice], plan: GenerationPlan, table: FeatureTable) -> Shard:
    """Write the shard that some slices make up."""
    split, index = key
    dtype = window_dtype(plan.options.max_context_length)
    parts = (
        np.fromfile(part.path, dtype, count=part.stop - part.start, offset=part.start * dtype.itemsize)
        for part in slices
    )
    name = shard_name(split, index, plan.num_shards[split])
    return write_shard(Path(plan.shard_folder), Path(plan.work_folder), name, split, parts, table)


def _timelines(block: UserBlock) -> tuple[Timelines, NDArray[np.int64]]:
    timelines = read_timelines(block)
    return timelines, label_rows(timelines)
