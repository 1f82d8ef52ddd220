"""Timelines in, shards out: the steps, and the run of all of them in this process.

A step takes the timelines of a block of users or the windows of a shard, never a single rating, and none depends on
another of its kind: here they run in threads, with windows in temporary files, and `data.beam_generation` gives them to
Beam's workers.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data.examples.feature_table import FeatureTable
from data.examples.shards import TIMELINES, Shard, ShardKind, shard_indices, shard_name, write_shard
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue
from data.splits.base import CutSplit
from data.splits.division import LeftOut, divide, shown_movies
from data.splits.ranks import CutBin, example_keys, find_cut, locate_cut, order_keys, rank_histogram, ranks_in_bin
from data.timelines.periods import TimeRange, count_by_movie, label_keys
from data.timelines.popularity import PopularityTable
from data.timelines.time_facts import TimeCounts, TimeFacts
from data.timelines.timelines import Timelines
from data.timelines.train_timelines import TRAIN_TIMELINE_DTYPE, train_timelines
from data.timelines.user_blocks import UserBlock, available_workers, read_timelines
from data.timelines.value_tally import ValueTally
from data.timelines.windows import build_histories, build_windows, window_dtype

_T = TypeVar("_T")

ShardKey = tuple[ShardKind, int]
"""A split, or the timelines, and a shard's place in it."""


@dataclass(frozen=True)
class GenerationPlan:
    """What the steps need to know."""

    options: GenerateOptions
    num_shards: dict[ShardKind, int]
    """Of both splits, and of timelines if they are asked for."""
    time_range: TimeRange
    """Of all ratings of the source."""
    cut: int | None = None
    """The largest rank of a train example, where it is decided already."""
    earlier_labels: ValueTally = field(default_factory=ValueTally.nothing)
    """How often each movie is a train label in the earlier spans of a series; the values are codes."""

    @property
    def shard_keys(self) -> list[ShardKey]:
        """Every shard, those of train first, then those of eval."""
        return [(kind, index) for kind, count in self.num_shards.items() for index in range(count)]

    def popularity(self, train_labels: ValueTally) -> PopularityTable:
        """Return how popular movies are, given counts as `SplitCounts.train_labels`: by these and the earlier ones."""
        return PopularityTable.from_counts(self.earlier_labels.merge(count_by_movie(train_labels)))

    def shard_name(self, key: ShardKey) -> str:
        """Return the name of a shard's file."""
        kind, index = key
        return shard_name(kind, index, self.num_shards[kind])

    def row_dtype(self, key: ShardKey) -> np.dtype:
        """Return the type of the rows that a shard is made of."""
        return TRAIN_TIMELINE_DTYPE if key[0] == TIMELINES else window_dtype(self.options.max_context_length)


@dataclass(frozen=True)
class WindowPart:
    """Rows of a shard: some windows, and beside them the histories of those that have any; or train timelines.

    Attributes
    ----------
    windows
        `window_dtype(max_context_length)[n]`, or `TRAIN_TIMELINE_DTYPE[n]`.
    histories
        int32: the codes of all histories, one after the other; `seen` of each window says how many are its own.
    """

    windows: NDArray[np.void]
    histories: NDArray[np.int32]

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        return b"".join([np.int64(len(self.windows)).tobytes(), self.windows.tobytes(), self.histories.tobytes()])

    @classmethod
    def from_bytes(cls, content: bytes, dtype: np.dtype) -> WindowPart:
        """Read the rows, of type `dtype`, and histories that `to_bytes` wrote."""
        head = np.dtype(np.int64).itemsize
        number = int(np.frombuffer(content, np.int64, count=1)[0])
        windows = np.frombuffer(content, dtype, count=number, offset=head)
        return cls(windows, np.frombuffer(content, np.int32, offset=head + number * dtype.itemsize))


@dataclass(frozen=True)
class _PartPlace:
    """Bytes `start` to `stop` of a temporary file: windows, or train timelines."""

    path: Path
    start: int
    stop: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.stop - self.start)


@dataclass(frozen=True)
class SplitCounts:
    """What is counted of some timelines once it is known which labels train.

    Attributes
    ----------
    train_labels
        How often each movie is a train label in each period; the values are `data.timelines.periods.label_keys`.
    times
        Of users, times and ties.
    left_out
        What was left out of eval as unknown.
    """

    train_labels: ValueTally
    times: TimeCounts
    left_out: LeftOut

    @classmethod
    def nothing(cls) -> SplitCounts:
        """Return the counts of no timelines."""
        return cls(ValueTally.nothing(), TimeCounts.nothing(), LeftOut())

    def merge(self, other: SplitCounts) -> SplitCounts:
        """Add up the counts of two groups of users."""
        return SplitCounts(
            self.train_labels.merge(other.train_labels),
            self.times.merge(other.times),
            self.left_out.merge(other.left_out),
        )


@dataclass(frozen=True)
class GenerationResult:
    """What the steps leave behind.

    Attributes
    ----------
    shards
        Every shard, empty ones too, those of train first.
    train_labels
        As in `SplitCounts`, of all timelines.
    times
        Of all timelines; None where a split is empty.
    cut
        The largest rank of a train example; None where the split has none.
    left_out
        What was left out of eval as unknown; None where the split keeps it.
    """

    shards: tuple[Shard, ...]
    train_labels: ValueTally
    times: TimeFacts | None
    cut: int | None
    left_out: LeftOut | None = None


def generate_in_threads(
    blocks: Sequence[UserBlock], plan: GenerationPlan, catalogue: Catalogue, folder: Path, work: Path
) -> GenerationResult:
    """Generate the examples of all blocks into shards, in threads: numpy and zlib let each other run.

    Parameters
    ----------
    blocks
        At least one.
    plan
        What to generate.
    catalogue
        Of the movies that the blocks hold.
    folder
        Takes the shards.
    work
        Takes temporary files, on the same file system.

    Returns
    -------
    GenerationResult
        The shards, and what was counted.

    Raises
    ------
    OSError
        A file can't be written. Steps that have not begun by then are left out.
    """
    options = plan.options
    with ThreadPoolExecutor(available_workers()) as pool:

        def over_blocks(step: Callable[..., _T], **known: object) -> Iterator[_T]:
            return pool.map(lambda block: step(read_timelines(block), **known), blocks)

        cut = plan.cut
        if cut is None and isinstance(options.strategy, CutSplit):
            cut_bin = locate_cut(reduce(np.add, over_blocks(histogram, options=options)), options.train_fraction)
            in_bin = over_blocks(count_ranks_in_bin, options=options, cut_bin=cut_bin)
            cut = find_cut(reduce(ValueTally.merge, in_bin), cut_bin)
        known = None
        if options.strategy.known_only:
            known = reduce(np.union1d, over_blocks(shown_movies, strategy=options.strategy, cut=cut))
        counts = reduce(SplitCounts.merge, over_blocks(count_split, plan=plan, cut=cut, known=known))
        popularity = plan.popularity(counts.train_labels)
        places: defaultdict[ShardKey, list[_PartPlace]] = defaultdict(list)
        for written in over_blocks(_write_rows, plan=plan, cut=cut, known=known, popularity=popularity, work=work):
            for key, part in written:
                places[key].append(part)
        table = FeatureTable(catalogue, options)
        shards = tuple(
            pool.map(lambda key: _write_shard_of(key, places[key], plan, table, folder, work), plan.shard_keys)
        )
    left_out = counts.left_out if options.strategy.known_only else None
    return GenerationResult(shards, counts.train_labels, counts.times.summary(), cut, left_out)


def _write_rows(
    timelines: Timelines,
    plan: GenerationPlan,
    cut: int | None,
    known: NDArray[np.integer] | None,
    popularity: PopularityTable,
    work: Path,
) -> list[tuple[ShardKey, _PartPlace]]:
    """Write what shards are made of to a temporary file, for a block, and return where the rows of each shard lie."""
    path = work / f"{uuid.uuid4().hex}.rows"
    written, start = [], 0
    with path.open("wb") as file:
        for key, part in rows_by_shard(timelines, plan, cut, known, popularity):
            size = file.write(part.to_bytes())
            written.append((key, _PartPlace(path, start, start + size)))
            start += size
    return written


def _write_shard_of(
    key: ShardKey, places: Sequence[_PartPlace], plan: GenerationPlan, table: FeatureTable, folder: Path, work: Path
) -> Shard:
    """Write the shard that some parts make up."""
    dtype = plan.row_dtype(key)
    parts = [WindowPart.from_bytes(place.read(), dtype) for place in places]
    return write_shard(
        folder,
        work,
        plan.shard_name(key),
        key[0],
        [part.windows for part in parts],
        table,
        [part.histories for part in parts],
    )


def histogram(timelines: Timelines, options: GenerateOptions) -> NDArray[np.int64]:
    """Count examples by rank, int64 `[NUM_BINS]`."""
    return rank_histogram(_ranks(timelines, options))


def count_ranks_in_bin(timelines: Timelines, options: GenerateOptions, cut_bin: CutBin | None) -> ValueTally:
    """Count the distinct ranks within the cut's bin."""
    return ranks_in_bin(_ranks(timelines, options), cut_bin)


def _ranks(timelines: Timelines, options: GenerateOptions) -> NDArray[np.uint64]:
    strategy = options.strategy
    if not isinstance(strategy, CutSplit):
        raise TypeError(f"the split {strategy.name} ranks no examples")
    return strategy.ranks(timelines, strategy.ranked_rows(timelines))


def count_split(
    timelines: Timelines, plan: GenerationPlan, cut: int | None, known: NDArray[np.integer] | None
) -> SplitCounts:
    """Count train labels, users and times."""
    found = divide(timelines, plan.options.strategy, cut, known)
    labels = timelines.ratings[found.rows[found.is_train]]
    keys = label_keys(labels["movie"], plan.time_range.periods_of(labels["time"]))
    times = TimeCounts.of(timelines, found.rows, found.is_train, found.is_eval)
    return SplitCounts(ValueTally.of(keys), times, found.left_out)


def rows_by_shard(
    timelines: Timelines,
    plan: GenerationPlan,
    cut: int | None,
    known: NDArray[np.integer] | None,
    popularity: PopularityTable,
) -> Iterator[tuple[ShardKey, WindowPart]]:
    """Yield the rows of each shard that gets any, of `plan.row_dtype(key)`: windows, and timelines if asked for."""
    yield from windows_by_shard(timelines, plan, cut, known, popularity)
    if TIMELINES in plan.num_shards:
        yield from _timelines_by_shard(timelines, plan, cut, known)


def _timelines_by_shard(
    timelines: Timelines, plan: GenerationPlan, cut: int | None, known: NDArray[np.integer] | None
) -> Iterator[tuple[ShardKey, WindowPart]]:
    found = divide(timelines, plan.options.strategy, cut, known)
    firsts = np.flatnonzero(timelines.positions == 0)
    orders = order_keys(example_keys(timelines, firsts), plan.options.seed)
    kept = train_timelines(timelines, found.rows, found.is_train, orders)
    shards = shard_indices(kept["order"], plan.num_shards[TIMELINES])
    for shard in np.unique(shards).tolist():
        yield (TIMELINES, shard), WindowPart(kept[shards == shard], np.empty(0, np.int32))


def windows_by_shard(
    timelines: Timelines,
    plan: GenerationPlan,
    cut: int | None,
    known: NDArray[np.integer] | None,
    popularity: PopularityTable,
) -> Iterator[tuple[ShardKey, WindowPart]]:
    """Yield the windows of each shard that gets any; those of eval with histories if the options ask for them."""
    options = plan.options
    found = divide(timelines, options.strategy, cut, known)
    used = found.is_train | found.is_eval
    rows, train = found.rows[used], found.is_train[used]
    order = order_keys(example_keys(timelines, rows), options.seed)
    keys, num_train = plan.shard_keys, plan.num_shards["train"]
    shards = np.where(train, shard_indices(order, num_train), num_train + shard_indices(order, plan.num_shards["eval"]))
    # Numbers of 16 bits are sorted in linear time.
    by_shard = np.argsort(shards.astype(np.min_scalar_type(len(keys))), kind="stable")
    rows = rows[by_shard]
    windows = build_windows(timelines, rows, options.max_context_length)
    windows["order"] = order[by_shard]
    windows["popularity"] = popularity.look_up(windows["label"])
    stops = np.cumsum(np.bincount(shards, minlength=len(keys))).tolist()
    for key, start, stop in zip(keys, [0, *stops[:-1]], stops, strict=True):
        if start < stop:
            histories = np.empty(0, np.int32)
            if options.leave_out and key[0] == "eval":
                windows["seen"][start:stop], histories = build_histories(timelines, rows[start:stop])
            yield key, WindowPart(windows[start:stop], histories)
