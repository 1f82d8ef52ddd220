"""The steps of `data.local_generation` as a Beam pipeline, for many workers.

Workers exchange only small arrays and the places of windows in temporary files, in a folder that all of them see.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsSingleton
from apache_beam.runners.runner import PipelineResult
from numpy.typing import NDArray

from data.beam_options import DEFAULT_ARGS
from data.errors import one_line
from data.examples.shards import Shard
from data.local_generation import (
    GenerationPlan,
    GenerationResult,
    ShardKey,
    WindowSlice,
    count_ranks_in_bin,
    count_train_labels,
    feature_table,
    histogram,
    write_shard_of,
    write_windows,
)
from data.splits.base import CutSplit
from data.splits.ranks import NUM_BINS, find_cut, locate_cut
from data.timelines.periods import count_by_movie
from data.timelines.popularity import PopularityTable
from data.timelines.user_blocks import UserBlock
from data.timelines.value_tally import ValueTally

_LABELS_DTYPE = np.dtype("<i8")

_KEYED_BY_SHARD = tuple[tuple[str, int], Any]
"""A `ShardKey`, in types that Beam has coders of for any engine, and what belongs to the shard."""


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
    """Add up `ValueTally`; None stands for no count yet."""

    def create_accumulator(self) -> ValueTally | None:
        return None

    def add_input(self, accumulator: ValueTally | None, element: ValueTally) -> ValueTally:
        return element if accumulator is None else accumulator.merge(element)

    def merge_accumulators(self, accumulators: Iterable[ValueTally | None]) -> ValueTally | None:
        merged = None
        for accumulator in accumulators:
            if accumulator is not None:
                merged = self.add_input(merged, accumulator)
        return merged

    def extract_output(self, accumulator: ValueTally | None) -> ValueTally:
        return accumulator if accumulator is not None else ValueTally.of(np.empty(0, dtype=np.int64))


def generate_in_beam(
    blocks: Sequence[UserBlock],
    plan: GenerationPlan,
    beam_args: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
) -> GenerationResult:
    """Generate the examples of all blocks into shards, as `data.local_generation.generate_in_threads` does.

    Parameters
    ----------
    blocks
        At least one.
    plan
        What to generate, and where.
    beam_args
        Beam's own flags; they win over `DEFAULT_ARGS`.
    progress
        Called with a line of text if the job outlives this process.

    Returns
    -------
    GenerationResult
        The shards, and the counts of train labels.
    """
    pipeline = beam.Pipeline(options=PipelineOptions([*DEFAULT_ARGS, *beam_args]))
    _build(pipeline, blocks, plan)
    _wait_for(pipeline.run(), progress)
    shards = tuple(Shard.model_validate_json(_record_path(plan, key).read_bytes()) for key in plan.shard_keys)
    labels = ValueTally(*np.fromfile(_labels_path(plan), dtype=_LABELS_DTYPE).reshape(2, -1))
    return GenerationResult(shards, labels, cut=json.loads(_cut_path(plan).read_bytes()))


def _wait_for(result: PipelineResult, progress: Callable[[str], None]) -> None:
    """Wait until a job is over; cancel it if this process is to end before, by Ctrl-C or SIGTERM."""
    with _ended_by_sigterm(), _without_the_servers_log():
        try:
            result.wait_until_finish()
        except (KeyboardInterrupt, SystemExit):
            try:
                result.cancel()
            except Exception as error:
                progress(f"the job can't be cancelled ({one_line(error)}): end it on the engine")
            raise


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the process as `sys.exit` does, in the main thread, where alone that can be had."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _without_the_servers_log() -> Iterator[None]:
    """Keep errors out of the log where warnings are: a job server's messages hold tracebacks of what is raised too."""
    root = logging.getLogger()
    before = root.level
    if before >= logging.ERROR:
        root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(before)


def _build(pipeline: beam.Pipeline, blocks: Sequence[UserBlock], plan: GenerationPlan) -> None:
    options = plan.options
    users = pipeline | "Blocks" >> beam.Create(list(blocks)) | "SpreadBlocks" >> beam.Reshuffle()
    if not isinstance(options.strategy, CutSplit):
        cut = pipeline | "NoCut" >> beam.Create([None])
    else:
        cut_bin = (
            users
            | "Histogram" >> beam.Map(histogram, options)
            | "SumHistograms" >> beam.CombineGlobally(_SumArrays())
            | "LocateCut" >> beam.Map(locate_cut, options.train_fraction)
        )
        cut = (
            users
            | "RanksInBin" >> beam.Map(count_ranks_in_bin, options, cut_bin=AsSingleton(cut_bin))
            | "MergeRanks" >> beam.CombineGlobally(_MergeCounts())
            | "FindCut" >> beam.Map(find_cut, cut_bin=AsSingleton(cut_bin))
        )
    _ = cut | "WriteCut" >> beam.Map(_write_cut, plan)
    labels = (
        users
        | "TrainLabels" >> beam.Map(count_train_labels, plan, cut=AsSingleton(cut))
        | "MergeLabels" >> beam.CombineGlobally(_MergeCounts())
    )
    _ = labels | "WriteLabels" >> beam.Map(_write_labels, plan)
    popularity = (
        labels | "LabelsByMovie" >> beam.Map(count_by_movie) | "Popularity" >> beam.Map(PopularityTable.from_counts)
    )
    windows = users | "Windows" >> beam.FlatMap(
        write_windows, plan, cut=AsSingleton(cut), popularity=AsSingleton(popularity)
    ).with_output_types(_KEYED_BY_SHARD)
    # Every shard is written, even one that no window falls into.
    no_windows = [(key, None) for key in plan.shard_keys]
    every_shard = pipeline | "EveryShard" >> beam.Create(no_windows).with_output_types(_KEYED_BY_SHARD)
    _ = (
        (windows, every_shard)
        | "WindowsAndShards" >> beam.Flatten()
        | "ByShard" >> beam.GroupByKey()
        | "WriteShards" >> beam.Map(_write_shard, plan)
    )


def _write_shard(element: tuple[ShardKey, Iterable[WindowSlice | None]], plan: GenerationPlan) -> None:
    """Write a shard, and what the manifest needs to know of it into the work folder."""
    key, slices = element
    shard = write_shard_of(key, [part for part in slices if part is not None], plan, feature_table(plan))
    _write_whole(_record_path(plan, key), shard.model_dump_json().encode())


def _write_labels(labels: ValueTally, plan: GenerationPlan) -> None:
    """Write the counts of train labels into the work folder: the values, and behind them their counts."""
    _write_whole(_labels_path(plan), np.stack([labels.values, labels.counts]).astype(_LABELS_DTYPE).tobytes())


def _write_cut(cut: int | None, plan: GenerationPlan) -> None:
    """Write the largest rank of a train example into the work folder."""
    _write_whole(_cut_path(plan), json.dumps(cut).encode())


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is complete once it is there: a worker may be asked twice."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    temporary.replace(path)


def _record_path(plan: GenerationPlan, key: ShardKey) -> Path:
    split, index = key
    return Path(plan.work_folder) / f"{split}-{index:05d}.json"


def _cut_path(plan: GenerationPlan) -> Path:
    return Path(plan.work_folder) / "cut.json"


def _labels_path(plan: GenerationPlan) -> Path:
    return Path(plan.work_folder) / "train-labels"
