"""The steps of `data.local_generation` as a Beam pipeline, for many workers.

Windows travel from worker to worker through the engine's own shuffle. Blocks of users, and the shards that are made of
them, lie in an exchange folder that the client and all workers see: beside the output, or in Beam's `--temp_location`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsSingleton
from numpy.typing import NDArray

from data.beam_jobs import BeamJob
from data.examples.feature_table import FeatureTable
from data.examples.shards import Shard, encode_shard
from data.exchange import Exchange
from data.local_generation import (
    GenerationPlan,
    GenerationResult,
    ShardKey,
    SplitCounts,
    WindowPart,
    count_ranks_in_bin,
    count_split,
    histogram,
    rows_by_shard,
)
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.splits.base import CutSplit
from data.splits.division import LeftOut, shown_movies
from data.splits.ranks import NUM_BINS, find_cut, locate_cut
from data.timelines.popularity import PopularityTable
from data.timelines.time_facts import TimeFacts
from data.timelines.timelines import Timelines
from data.timelines.user_blocks import UserBlock, parse_timelines
from data.timelines.value_tally import ValueTally

_LABELS_DTYPE = np.dtype("<i8")

_LABELS_FILE = "train-labels"
_TIMES_FILE = "times.json"
_CUT_FILE = "cut.json"
_LEFT_OUT_FILE = "left-out.json"

_ROWS_BY_SHARD = tuple[tuple[str, int], bytes]
"""A `ShardKey` and rows of it, in types that Beam has coders of for any engine."""


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
    """Add up counts, such as `ValueTally`, by their `merge`."""

    def __init__(self, nothing: Any) -> None:
        super().__init__()
        self._nothing = nothing

    def create_accumulator(self) -> Any:
        return self._nothing

    def add_input(self, accumulator: Any, element: Any) -> Any:
        return accumulator.merge(element)

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        return reduce(lambda merged, other: merged.merge(other), accumulators, self._nothing)

    def extract_output(self, accumulator: Any) -> Any:
        return accumulator


def generate_in_beam(
    blocks: Sequence[UserBlock],
    plan: GenerationPlan,
    catalogue: Catalogue,
    folder: Path,
    work: Path,
    beam_args: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
) -> GenerationResult:
    """Generate the examples of all blocks into shards, as `data.local_generation.generate_in_threads` does.

    Parameters
    ----------
    blocks
        At least one.
    plan, catalogue
        What to generate.
    folder
        Takes the shards.
    work
        Where the blocks lie. All workers must see it, unless Beam's flags name a `--temp_location`.
    beam_args
        Beam's own flags; they win over `DEFAULT_ARGS`.
    progress
        Called with a line of text if the job outlives this process, or leaves files.

    Returns
    -------
    GenerationResult
        The shards, and what was counted.

    Raises
    ------
    InputError
        The job failed, the `--temp_location` can't be written, or workers don't see where the blocks lie.
    """
    job = BeamJob("generates", folder.parent, beam_args, progress)
    with job.exchange(work) as exchange:
        catalogue.save(work / CATALOGUE_FILE)
        for path in (work / CATALOGUE_FILE, *(Path(block.path) for block in blocks)):
            exchange.put(path)
        job.run(lambda pipeline: _build(pipeline, [Path(block.path).name for block in blocks], plan, exchange))
        return _collect(plan, exchange, folder)


def _collect(plan: GenerationPlan, exchange: Exchange, folder: Path) -> GenerationResult:
    """Bring the shards and what is known of them from the exchange folder."""
    shards = []
    for key in plan.shard_keys:
        record = json.loads(exchange.read(_record_name(key)))
        exchange.fetch(record["file"], folder / plan.shard_name(key))
        shards.append(Shard.model_validate(record["shard"]))
    labels = ValueTally(*np.frombuffer(exchange.read(_LABELS_FILE), dtype=_LABELS_DTYPE).reshape(2, -1))
    times, cut, left_out = (json.loads(exchange.read(name)) for name in (_TIMES_FILE, _CUT_FILE, _LEFT_OUT_FILE))
    return GenerationResult(
        tuple(shards),
        labels,
        TimeFacts.model_validate(times) if times else None,
        cut,
        LeftOut.model_validate(left_out) if plan.options.strategy.known_only else None,
    )


def _build(pipeline: beam.Pipeline, blocks: Sequence[str], plan: GenerationPlan, exchange: Exchange) -> None:
    options = plan.options
    users = pipeline | "Blocks" >> beam.Create(list(blocks)) | "SpreadBlocks" >> beam.Reshuffle()
    if plan.cut is not None or not isinstance(options.strategy, CutSplit):
        cut = pipeline | "KnownCut" >> beam.Create([plan.cut])
    else:
        cut_bin = (
            users
            | "Histogram" >> beam.Map(_on_block, histogram, exchange, options=options)
            | "SumHistograms" >> beam.CombineGlobally(_SumArrays())
            | "LocateCut" >> beam.Map(locate_cut, options.train_fraction)
        )
        cut = (
            users
            | "RanksInBin"
            >> beam.Map(_on_block, count_ranks_in_bin, exchange, options=options, cut_bin=AsSingleton(cut_bin))
            | "MergeRanks" >> beam.CombineGlobally(_MergeCounts(ValueTally.nothing()))
            | "FindCut" >> beam.Map(find_cut, cut_bin=AsSingleton(cut_bin))
        )
    _ = cut | "WriteCut" >> beam.Map(_write_cut, exchange)
    if not options.strategy.known_only:
        known = pipeline | "AllMovies" >> beam.Create([None])
    else:
        known = (
            users
            | "ShownMovies"
            >> beam.Map(_on_block, shown_movies, exchange, strategy=options.strategy, cut=AsSingleton(cut))
            | "UniteShown" >> beam.CombineGlobally(_unite)
        )
    counts = (
        users
        | "CountSplit"
        >> beam.Map(_on_block, count_split, exchange, plan=plan, cut=AsSingleton(cut), known=AsSingleton(known))
        | "MergeCounts" >> beam.CombineGlobally(_MergeCounts(SplitCounts.nothing()))
    )
    _ = counts | "WriteTimes" >> beam.Map(_write_times, exchange)
    _ = counts | "WriteLeftOut" >> beam.Map(_write_left_out, exchange)
    labels = counts | "TrainLabels" >> beam.Map(_train_labels)
    _ = labels | "WriteLabels" >> beam.Map(_write_labels, exchange)
    popularity = labels | "Popularity" >> beam.Map(plan.popularity)
    rows = users | "Windows" >> beam.FlatMap(
        _rows, exchange, plan, cut=AsSingleton(cut), known=AsSingleton(known), popularity=AsSingleton(popularity)
    ).with_output_types(_ROWS_BY_SHARD)
    # Every shard is written, even one that nothing falls into.
    nothing = [(key, b"") for key in plan.shard_keys]
    every_shard = pipeline | "EveryShard" >> beam.Create(nothing).with_output_types(_ROWS_BY_SHARD)
    _ = (
        (rows, every_shard)
        | "WindowsAndShards" >> beam.Flatten()
        | "ByShard" >> beam.GroupByKey()
        | "WriteShards" >> beam.Map(_write_shard, plan, exchange)
    )


def _on_block(name: str, step: Callable[..., Any], exchange: Exchange, **known: Any) -> Any:
    """Return what a step makes of a block's timelines."""
    return step(_timelines(name, exchange), **known)


def _timelines(name: str, exchange: Exchange) -> Timelines:
    return parse_timelines(name, exchange.read(name))


def _rows(
    name: str,
    exchange: Exchange,
    plan: GenerationPlan,
    cut: int | None,
    known: NDArray[np.integer] | None,
    popularity: PopularityTable,
) -> Iterator[tuple[ShardKey, bytes]]:
    """Yield what the shards get of a block, as bytes: any engine has a coder of them."""
    for key, part in rows_by_shard(_timelines(name, exchange), plan, cut, known, popularity):
        yield key, part.to_bytes()


def _write_shard(element: tuple[ShardKey, Iterable[bytes]], plan: GenerationPlan, exchange: Exchange) -> None:
    """Write a shard into the exchange folder, and beside it what its manifest needs to know."""
    key, parts = element
    dtype = plan.row_dtype(key)
    given = [WindowPart.from_bytes(part, dtype) for part in parts if part]
    windows, histories = [part.windows for part in given], [part.histories for part in given]
    catalogue = Catalogue.parse(exchange.read(CATALOGUE_FILE), CATALOGUE_FILE)
    name = plan.shard_name(key)
    with exchange.create(name) as (attempt, file):
        shard = encode_shard(file, name, key[0], windows, FeatureTable(catalogue, plan.options), histories)
    # The attempt whose record is the last one counts; all of them hold the same.
    exchange.write(_record_name(key), json.dumps({"file": attempt, "shard": shard.model_dump()}).encode())


def _write_labels(labels: ValueTally, exchange: Exchange) -> None:
    """Write the counts of train labels: the values, and behind them their counts."""
    exchange.write(_LABELS_FILE, np.stack([labels.values, labels.counts]).astype(_LABELS_DTYPE).tobytes())


def _write_times(counts: SplitCounts, exchange: Exchange) -> None:
    """Write what the manifest holds of users and times; null where a split is empty."""
    times = counts.times.summary()
    exchange.write(_TIMES_FILE, json.dumps(times.model_dump() if times is not None else None).encode())


def _write_left_out(counts: SplitCounts, exchange: Exchange) -> None:
    """Write what was left out of eval as unknown."""
    exchange.write(_LEFT_OUT_FILE, counts.left_out.model_dump_json().encode())


def _unite(parts: Iterable[NDArray[np.integer]]) -> NDArray[np.integer]:
    """Return the distinct codes of several arrays."""
    return reduce(np.union1d, parts, np.empty(0, dtype=np.int32))


def _train_labels(counts: SplitCounts) -> ValueTally:
    return counts.train_labels


def _write_cut(cut: int | None, exchange: Exchange) -> None:
    """Write the largest rank of a train example."""
    exchange.write(_CUT_FILE, json.dumps(cut).encode())


def _record_name(key: ShardKey) -> str:
    split, index = key
    return f"{split}-{index:05d}.json"
