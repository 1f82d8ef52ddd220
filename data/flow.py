"""The Beam pipeline: blocks of users in, shards out.

Elements are blocks of users and slices of temporary files, never single ratings, so that the same pipeline
runs in this process and on many workers. Workers exchange only small arrays; the windows themselves travel
through files in a folder that all workers see.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsSingleton
from numpy.typing import NDArray

from data.blocks import UserBlock, read_block
from data.catalogue import Catalogue
from data.examples import FeatureTable
from data.options import GenerateOptions
from data.popularity import PopularityTable
from data.shards import SPLITS, Shard, Split, shard_indices, shard_name, write_shard
from data.splits import (
    NUM_BINS,
    Counts,
    CutBin,
    example_keys,
    find_cut,
    is_train,
    locate_cut,
    order_keys,
    rank_histogram,
    ranks_in_bin,
    split_ranks,
)
from data.timelines import Timelines, build_timelines
from data.windows import build_windows, label_rows, window_dtype

IN_PROCESS_ARGS = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")
"""Beam's default changes with its version, from 2.68 on to a runner that has to be downloaded."""

ShardKey = tuple[str, int]
"""A split and a shard's place in it."""


@dataclass(frozen=True)
class FlowPlan:
    """What the workers need to know; all paths are seen by all of them."""

    options: GenerateOptions
    num_shards: dict[Split, int]
    catalogue_path: str
    work_folder: str
    """Takes temporary files."""
    shard_folder: str
    """Takes the shards."""


@dataclass(frozen=True)
class WindowSlice:
    """Rows `start` to `stop` of a temporary file of windows."""

    path: str
    start: int
    stop: int


class _SumArrays(beam.CombineFn):
    """Add up arrays of one shape."""

    def create_accumulator(self) -> NDArray[np.int64]:
        return np.zeros(NUM_BINS, dtype=np.int64)

    def add_input(self, accumulator: NDArray[np.int64], element: NDArray[np.int64]) -> NDArray[np.int64]:
        return accumulator + element

    def merge_accumulators(self, accumulators: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: NDArray[np.int64]) -> NDArray[np.int64]:
        return accumulator


class _MergeCounts(beam.CombineFn):
    """Add up `Counts`; None stands for no count yet."""

    def create_accumulator(self) -> Counts | None:
        return None

    def add_input(self, accumulator: Counts | None, element: Counts) -> Counts:
        return element if accumulator is None else accumulator.merge(element)

    def merge_accumulators(self, accumulators: Iterable[Counts | None]) -> Counts | None:
        merged = None
        for accumulator in accumulators:
            if accumulator is not None:
                merged = self.add_input(merged, accumulator)
        return merged

    def extract_output(self, accumulator: Counts | None) -> Counts:
        return accumulator if accumulator is not None else Counts.of(np.empty(0, dtype=np.int64))


def run_flow(blocks: Sequence[UserBlock], plan: FlowPlan, beam_args: Sequence[str]) -> list[Shard]:
    """Generate the examples of all blocks into shards.

    Parameters
    ----------
    blocks
        At least one.
    plan
        What to generate, and where.
    beam_args
        Beam's own flags; they win over `IN_PROCESS_ARGS`.

    Returns
    -------
    list[Shard]
        Every shard of both splits, empty ones too, train first.
    """
    with beam.Pipeline(options=PipelineOptions([*IN_PROCESS_ARGS, *beam_args])) as pipeline:
        _build(pipeline, blocks, plan)
    return [
        Shard.model_validate_json(_record_path(plan, split, index).read_bytes())
        for split in SPLITS
        for index in range(plan.num_shards[split])
    ]


def _build(pipeline: beam.Pipeline, blocks: Sequence[UserBlock], plan: FlowPlan) -> None:
    options = plan.options
    users = pipeline | "Blocks" >> beam.Create(list(blocks)) | "SpreadBlocks" >> beam.Reshuffle()
    if options.split == "leave_one_out":
        cut = pipeline | "NoCut" >> beam.Create([None])
    else:
        cut_bin = (
            users
            | "Histogram" >> beam.Map(_histogram, options)
            | "SumHistograms" >> beam.CombineGlobally(_SumArrays())
            | "LocateCut" >> beam.Map(locate_cut, options.train_fraction)
        )
        cut = (
            users
            | "RanksInBin" >> beam.Map(_ranks_in_bin, options, cut_bin=AsSingleton(cut_bin))
            | "MergeRanks" >> beam.CombineGlobally(_MergeCounts())
            | "FindCut" >> beam.Map(find_cut, cut_bin=AsSingleton(cut_bin))
        )
    popularity = (
        users
        | "TrainLabels" >> beam.Map(_train_labels, options, cut=AsSingleton(cut))
        | "MergeLabels" >> beam.CombineGlobally(_MergeCounts())
        | "Popularity" >> beam.Map(PopularityTable.from_counts)
    )
    windows = users | "Windows" >> beam.FlatMap(
        _write_windows, plan, cut=AsSingleton(cut), popularity=AsSingleton(popularity)
    )
    # Every shard is written, even one that no window falls into.
    keys = [((split, index), None) for split in SPLITS for index in range(plan.num_shards[split])]
    every_shard = pipeline | "EveryShard" >> beam.Create(keys)
    _ = (
        (windows, every_shard)
        | "WindowsAndShards" >> beam.Flatten()
        | "ByShard" >> beam.GroupByKey()
        | "WriteShards" >> beam.Map(_write_shard, plan)
    )


def _timelines(block: UserBlock, options: GenerateOptions) -> tuple[Timelines, NDArray[np.int64]]:
    timelines = build_timelines(
        read_block(block), min_rating=options.min_rating, min_timeline_length=options.min_timeline_length
    )
    return timelines, label_rows(timelines)


def _histogram(block: UserBlock, options: GenerateOptions) -> NDArray[np.int64]:
    return rank_histogram(split_ranks(*_timelines(block, options), options))


def _ranks_in_bin(block: UserBlock, options: GenerateOptions, cut_bin: CutBin | None) -> Counts:
    return ranks_in_bin(split_ranks(*_timelines(block, options), options), cut_bin)


def _train_labels(block: UserBlock, options: GenerateOptions, cut: int | None) -> Counts:
    timelines, rows = _timelines(block, options)
    return Counts.of(timelines.ratings["movie"][rows[is_train(timelines, rows, options, cut)]])


def _write_windows(
    block: UserBlock, plan: FlowPlan, cut: int | None, popularity: PopularityTable
) -> Iterator[tuple[ShardKey, WindowSlice]]:
    """Write a block's windows to a temporary file, each shard's together, and tell where each lies."""
    options = plan.options
    timelines, rows = _timelines(block, options)
    windows = build_windows(timelines, rows, options.max_context_length)
    windows["order"] = order_keys(example_keys(timelines, rows), options.seed)
    windows["train"] = is_train(timelines, rows, options, cut)
    windows["popularity"] = popularity.look_up(windows["label"])
    # Shards divide the range of the keys, so that this order also keeps each shard together.
    windows = windows[np.lexsort((windows["order"], windows["train"]))]
    # A worker may be asked twice for one block: each attempt has a file of its own.
    path = Path(plan.work_folder) / f"{Path(block.path).stem}-{uuid.uuid4().hex}.windows"
    path.write_bytes(windows.tobytes())
    num_eval = int(np.searchsorted(windows["train"], True))
    for split, first, end in (("eval", 0, num_eval), ("train", num_eval, len(windows))):
        count = plan.num_shards[split]
        indices = shard_indices(windows["order"][first:end], count)
        bounds = first + np.searchsorted(indices, np.arange(count + 1))
        for index, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            if start < stop:
                yield (split, index), WindowSlice(str(path), start, stop)


def _write_shard(element: tuple[ShardKey, Iterable[WindowSlice | None]], plan: FlowPlan) -> None:
    """Write a shard, and what the manifest needs to know of it into the work folder."""
    (split, index), slices = element
    table = FeatureTable(Catalogue.load(Path(plan.catalogue_path)), plan.options)
    dtype = window_dtype(plan.options.max_context_length)
    parts = (
        np.fromfile(part.path, dtype, count=part.stop - part.start, offset=part.start * dtype.itemsize)
        for part in slices
        if part is not None
    )
    name = shard_name(split, index, plan.num_shards[split])
    shard = write_shard(Path(plan.shard_folder), name, split, parts, table)
    record = _record_path(plan, split, index)
    temporary = record.with_name(f"{record.name}.{uuid.uuid4().hex}")
    temporary.write_text(shard.model_dump_json(), encoding="utf-8")
    temporary.replace(record)


def _record_path(plan: FlowPlan, split: str, index: int) -> Path:
    return Path(plan.work_folder) / f"{split}-{index:05d}.json"
