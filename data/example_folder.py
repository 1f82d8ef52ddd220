"""A folder of examples: shards, catalogue and manifest, from blocks of timelines."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError
from data.examples.manifest import DataSizes, Manifest, library_versions
from data.examples.ratings_profile import RatingsProfile
from data.examples.shards import RATINGS_PER_SHARD, TIMELINES, ShardKind, file_sha256
from data.local_generation import GenerationPlan, GenerationResult, generate_in_threads
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.splits import spelt
from data.timelines.periods import movies_and_periods
from data.timelines.user_blocks import OrderedBlocks
from data.timelines.value_tally import ValueTally

WORK_FOLDER = "work"
"""Lies within the folder while it is written, and holds the blocks."""


@dataclass(frozen=True)
class WrittenExamples:
    """What was written.

    Attributes
    ----------
    manifest
        Of the shards and the catalogue; it is not saved.
    catalogue
        With the counts of train labels.
    cut
        The largest rank of a train example; None where the split has none.
    """

    manifest: Manifest
    catalogue: Catalogue
    cut: int | None


def write_examples(
    options: GenerateOptions,
    ordered: OrderedBlocks,
    catalogue: Catalogue,
    folder: Path,
    *,
    source_digest: str,
    rated_movies: int,
    beam_args: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
    cut: int | None = None,
    may_be_empty: bool = False,
    beside: Callable[[GenerationResult], Mapping[str, Any]] = lambda _: {},
) -> WrittenExamples:
    """Write shards and catalogue, and return their manifest.

    Parameters
    ----------
    options
        What to generate.
    ordered
        At least one block, in the folder's `WORK_FOLDER`, which is removed.
    catalogue
        Of the movies that the blocks hold.
    folder
        Takes the files.
    source_digest
        Of the content that the ratings are from.
    rated_movies
        Distinct movies that are rated.
    beam_args, progress
        As for `data.generate.generate`.
    cut
        The largest rank of a train example, where it is decided already.
    may_be_empty
        Whether a split may be left without examples.
    beside
        Writes what else is asked for while the blocks are there, and returns the manifest's fields about it.

    Raises
    ------
    InputError
        Nothing is left for a split, or the job on Beam failed.
    """
    work = folder / WORK_FOLDER
    num_train = options.shards or max(1, math.ceil(ordered.num_ratings / RATINGS_PER_SHARD))
    # Eval is about as large a part of train under every split; its shards need not be even.
    num_eval = max(1, math.ceil(num_train * (1 - options.train_fraction)))
    num_shards: dict[ShardKind, int] = {"train": num_train, "eval": num_eval}
    if options.timelines:
        num_shards[TIMELINES] = num_train
    plan = GenerationPlan(options, num_shards, ordered.time_range, cut, _earlier_labels(catalogue))
    if beam_args:
        from data.beam_generation import generate_in_beam

        result = generate_in_beam(ordered.blocks, plan, catalogue, folder, work, beam_args, progress)
    else:
        result = generate_in_threads(ordered.blocks, plan, catalogue, folder, work)
    further = beside(result)
    shutil.rmtree(work)
    labels = result.train_labels
    catalogue = catalogue.with_train_labels(*movies_and_periods(labels.values), labels.counts)
    catalogue.save(folder / CATALOGUE_FILE)
    shards = result.shards
    counts = DataSizes(
        train=sum(shard.examples for shard in shards if shard.split == "train"),
        eval=sum(shard.examples for shard in shards if shard.split == "eval"),
        ratings=ordered.num_ratings,
        users=ordered.num_users,
        movies=len(catalogue),
    )
    if not may_be_empty:
        check_splits(counts.train, counts.eval, options)
    manifest = Manifest(
        release=options.release,
        max_rating=ordered.max_stars if options.release is None else None,
        source_digest=source_digest,
        options=options,
        split=options.split,
        train_until=options.strategy.train_until(result.cut),
        counts=counts,
        times=result.times,
        left_out=result.left_out,
        shards=shards,
        pad_movie_id=catalogue.pad,
        catalogue_file=CATALOGUE_FILE,
        catalogue_sha256=file_sha256(folder / CATALOGUE_FILE),
        libraries=library_versions(),
        profile=RatingsProfile.of(ordered.days, ordered.lengths, rated_movies=rated_movies),
        **further,
    )
    return WrittenExamples(manifest, catalogue, result.cut)


def _earlier_labels(catalogue: Catalogue) -> ValueTally:
    if catalogue.earlier_labels is None:
        return ValueTally.nothing()
    rows = np.flatnonzero(catalogue.earlier_labels)
    return ValueTally(rows + 1, catalogue.earlier_labels[rows])


def check_splits(train: int, held_out: int, options: GenerateOptions) -> None:
    """Refuse examples of which none are left, or none for a split.

    Raises
    ------
    InputError
        So it is.
    """
    if train + held_out == 0:
        raise InputError(
            f"no example is left: no user has {options.min_timeline_length} ratings "
            f"of at least {options.min_rating:g} stars",
            code="C09",
        )
    if train and not held_out and options.strategy.known_only:
        raise InputError(
            "the eval split is empty: what is later than train is of users or movies that train never shows; choose "
            "another split",
            code="C11",
        )
    if not held_out and options.strategy.is_by_time and round(train * options.train_fraction) < train:
        raise InputError(
            f"the eval split is empty: none of {train} labels is later than the last train label, since too many have "
            "one time; choose another split",
            code="C10",
        )
    for split, examples in (("train", train), ("eval", held_out)):
        if not examples:
            raise InputError(
                f"the {split} split is empty: {train + held_out} examples are too few for the "
                f"{spelt(options.split)} split with the train fraction {options.train_fraction:g}",
                code="C11",
            )
