"""Train timelines as integers in memory, and chunks of them as batches: each movie is read about twice an epoch.

Windows read a movie of a timeline once for each label behind it, ten times in all. A chunk is a run of labels with the
movies before them, read from its beginning to its end once: each label is asked for by the state that has read what
comes before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data import features
from data.errors import InputError
from data.movie_ids import NO_MOVIE, MovieId
from trainer_module.dataset import Windows, untuned

_PARSE_BATCH = 1024
"""Timelines parsed at once: some hundred thousand movies."""

_WHOLE_LABELS = 1024
"""Labels of timelines that are ranked at once; those of one timeline stay together."""


@dataclass(frozen=True)
class TrainTimelines:
    """Timelines as places in the vocabulary, one after the other, and which of their movies are train labels.

    Attributes
    ----------
    movies
        int32 `[num_movies_watched]`: each timeline's movies together, oldest first, none of them 0.
    starts
        int64 `[num_timelines]`: where each timeline begins, ascending from 0; none is empty.
    is_label
        bool `[num_movies_watched]`: what training may ask for. No timeline's first movie is a label.
    max_context_length
        How many movies before a label a context holds.
    """

    movies: np.ndarray
    starts: np.ndarray
    is_label: np.ndarray
    max_context_length: int

    def __len__(self) -> int:
        """Return the number of labels."""
        return int(np.count_nonzero(self.is_label))

    def typical_lengths(self) -> dict[str, int]:
        """Return how many movies the timeline of the median, called `median`, and the longest, `longest`, have."""
        lengths = np.diff(self.starts, append=len(self.movies))
        return {"median": int(np.median(lengths)), "longest": int(lengths.max())}

    def take(self, rows: np.ndarray) -> TrainTimelines:
        """Return the same timelines with the given labels only (int or bool, among `len(self)` in their order).

        What is no label any more is still read, as a movie that stands before others.
        """
        is_label = np.zeros_like(self.is_label)
        is_label[np.flatnonzero(self.is_label)[rows]] = True
        return replace(self, is_label=is_label)

    def windows(self) -> Windows:
        """Return each label with the movies before it, as the windows of train have them, in the order of labels."""
        rows = np.flatnonzero(self.is_label)
        begins = self.starts[np.searchsorted(self.starts, rows, side="right") - 1]
        firsts = np.maximum(rows - self.max_context_length, begins)
        sources = firsts[:, np.newaxis] + np.arange(self.max_context_length)
        # What lies behind a context is padding; the label stands in for it, so that no index leaves the array.
        context = self.movies[np.minimum(sources, rows[:, np.newaxis])]
        return Windows(np.where(sources < rows[:, np.newaxis], context, NO_MOVIE), self.movies[rows])


def read_timelines(
    files: Sequence[str], movie_ids: np.ndarray, max_context_length: int, pad: MovieId = features.PAD_MOVIE_ID
) -> TrainTimelines:
    """Read the files of train timelines whole.

    A movie that the vocabulary lacks is left out, as serving passes over it. Each movie of a train window is in the
    vocabulary, so that this changes no label and none of the movies that its window holds.

    Parameters
    ----------
    files
        Gzipped TFRecord files.
    movie_ids
        `[num_movies]`: the vocabulary.
    max_context_length
        How many movies before a label the windows hold.
    pad
        What stands for no movie; a text where ids are texts.

    Raises
    ------
    InputError
        The files hold no timeline.
    """
    spec = {
        features.TIMELINE_MOVIE_ID: tf.io.RaggedFeature(tf.string if isinstance(pad, str) else tf.int64),
        features.TIMELINE_IS_LABEL: tf.io.RaggedFeature(tf.int64),
    }
    batches = (
        tf.data.TFRecordDataset(list(files), compression_type="GZIP")
        .batch(_PARSE_BATCH)
        .map(lambda serialized: tf.io.parse_example(serialized, spec))
        .with_options(untuned())
    )
    parts = [
        (
            parsed[features.TIMELINE_MOVIE_ID].values.numpy(),
            parsed[features.TIMELINE_IS_LABEL].values.numpy().astype(bool),
            parsed[features.TIMELINE_MOVIE_ID].row_lengths().numpy(),
        )
        for parsed in batches
    ]
    if not parts:
        raise InputError(
            f"{', '.join(files)} hold no timeline: run again with --no-cache, which makes them anew", code="R05"
        )
    ids, is_label, lengths = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return of_known_movies(_index_of(ids, movie_ids), lengths, is_label, max_context_length)


def of_known_movies(
    movies: np.ndarray, lengths: np.ndarray, is_label: np.ndarray, max_context_length: int
) -> TrainTimelines:
    """Return timelines without the movies that stand for none.

    Parameters
    ----------
    movies
        int32 `[n]`: timelines one after the other, 0 for a movie that the vocabulary lacks.
    lengths
        int `[num_timelines]`.
    is_label
        bool `[n]`.
    max_context_length
        As in `TrainTimelines`.
    """
    known = movies != NO_MOVIE
    timeline = np.repeat(np.arange(len(lengths)), lengths)[known]
    starts = np.flatnonzero(np.diff(timeline, prepend=-1))
    return TrainTimelines(movies[known], starts, is_label[known], max_context_length)


def _index_of(ids: np.ndarray, movie_ids: np.ndarray) -> np.ndarray:
    """Return 1 + places in a vocabulary, int32 in the shape of the ids; 0 for one that it lacks."""
    order = np.argsort(movie_ids)
    ascending = movie_ids[order]
    ids = ids.astype(ascending.dtype) if ids.dtype != object else ids.astype(np.bytes_)
    place = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
    return np.where(ascending[place] == ids, order[place] + 1, NO_MOVIE).astype(np.int32)


class Chunks(NamedTuple):
    """Runs of labels that cover some timelines, with what is read before them: rows of `TrainTimelines.movies`.

    Attributes
    ----------
    reads_from
        int64 `[num_chunks]`: the first movie that is read.
    labels_from, ends
        int64 `[num_chunks]`: a chunk's labels are among the rows from `labels_from` up to, not including, `ends`.
    """

    reads_from: np.ndarray
    labels_from: np.ndarray
    ends: np.ndarray


def draw_chunks(
    timelines: TrainTimelines, chunk_length: int, generator: np.random.Generator, lead_length: int | None = None
) -> Chunks:
    """Cut timelines into chunks, each timeline at an offset of its own.

    A chunk begins to read some movies before its first label, or where the timeline begins. Where these are as many as
    a context has, its first label is asked for as serving asks, and later ones by a state that has read up to
    `chunk_length - 1` movies more.

    Parameters
    ----------
    timelines
        At least one label.
    chunk_length
        Labels in a chunk at most: those at the ends of a timeline may be shorter.
    generator
        Draws the offsets. They are drawn anew for each epoch, so that a label stands now at the beginning of a chunk
        and now at its end.
    lead_length
        Movies that a chunk reads before its first label; None for `max_context_length`.

    Returns
    -------
    Chunks
        Those that hold a label, in the order of their timelines. Each label is in one of them.
    """
    lengths = np.diff(timelines.starts, append=len(timelines.movies))
    offsets = generator.integers(0, chunk_length, len(lengths))
    counts = -(-(lengths - 1 + offsets) // chunk_length)
    timeline = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = timelines.starts[timeline]
    cut = starts + 1 - offsets[timeline] + place * chunk_length
    labels_from = np.maximum(cut, starts + 1)
    ends = np.minimum(cut + chunk_length, starts + lengths[timeline])
    reads_from = np.maximum(labels_from - (lead_length or timelines.max_context_length), starts)
    labels_before = np.concatenate([[0], np.cumsum(timelines.is_label)])
    asked = labels_before[ends] > labels_before[labels_from]
    return Chunks(reads_from[asked], labels_from[asked], ends[asked])


def chunk_batches(
    timelines: TrainTimelines,
    batch_size: int,
    chunk_length: int,
    *,
    seed: int,
    lead_length: int | None = None,
    num_movies: int | None = None,
) -> tf.data.Dataset:
    """Return one epoch of shuffled batches of chunks.

    Parameters
    ----------
    timelines
        At least one label.
    batch_size
        How many labels the chunks of a batch have, about; there is one chunk at least.
    chunk_length
        Labels in a chunk at most.
    seed
        Fixes where timelines are cut and the order of the chunks, which are others in each epoch.
    lead_length
        As for `draw_chunks`.
    num_movies
        Size of the vocabulary, where batches are to tell of all that was watched before; else None.

    Returns
    -------
    tf.data.Dataset
        Pairs of movies int32 `[chunks, lead_length + chunk_length]`, post-padded, and which of them are asked for, bool
        of the same shape; nothing in the first column is. With `num_movies` `first_columns` of them is the third. All
        epochs have as many batches, those that the first epoch's chunks fill: what is left over stays out, and what is
        missing is taken from the epoch's beginning.
    """
    lead_length = lead_length or timelines.max_context_length
    width = lead_length + chunk_length
    num_drawn = len(draw_chunks(timelines, chunk_length, _generator(seed, 0), lead_length).ends)
    num_chunks = max(1, round(batch_size * num_drawn / len(timelines)))
    steps = max(1, round(num_drawn / num_chunks))
    epochs = itertools.count()

    def batches() -> Iterator[tuple[np.ndarray, ...]]:
        generator = _generator(seed, next(epochs))
        chunks = draw_chunks(timelines, chunk_length, generator, lead_length)
        order = np.resize(generator.permutation(len(chunks.ends)), steps * num_chunks)
        for chosen in order.reshape(steps, num_chunks):
            yield _gathered(timelines, Chunks(*(rows[chosen] for rows in chunks)), width, num_movies)

    signature = [tf.TensorSpec([num_chunks, width], kind) for kind in (tf.int32, tf.bool)]
    if num_movies is not None:
        signature.append(tf.TensorSpec([num_chunks, num_movies + 1], tf.int32))
    return (
        tf.data.Dataset.from_generator(batches, output_signature=tuple(signature))
        .apply(tf.data.experimental.assert_cardinality(steps))
        .prefetch(4)
        .with_options(untuned())
    )


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def whole_batches(timelines: TrainTimelines, num_movies: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield all labels in their order, each with all that was watched before it, in the form of `chunk_batches`.

    Parameters
    ----------
    timelines
        At least one label.
    num_movies
        Size of the vocabulary.
    """
    rows = np.flatnonzero(timelines.is_label)
    timeline, counts = np.unique(np.searchsorted(timelines.starts, rows, side="right") - 1, return_counts=True)
    last = np.cumsum(counts) - 1
    chunks = Chunks(timelines.starts[timeline], timelines.starts[timeline], rows[last] + 1)
    for batch in np.split(np.arange(len(last)), np.flatnonzero(np.diff(last // _WHOLE_LABELS)) + 1):
        some = Chunks(*(values[batch] for values in chunks))
        yield _gathered(timelines, some, int((some.ends - some.reads_from).max()), num_movies)


def first_columns(timelines: TrainTimelines, chunks: Chunks, num_movies: int) -> np.ndarray:
    """Return where each movie is watched first, up to the ends of chunks: what follows them nobody is to know.

    Parameters
    ----------
    timelines
        What the chunks are cut of.
    chunks
        Any number.
    num_movies
        Size of the vocabulary.

    Returns
    -------
    np.ndarray
        int32 `[chunks, num_movies + 1]`: the column of a chunk, below 0 before it reads, and the largest number for
        what is not watched; for no movie the smallest.
    """
    first = np.full((len(chunks.ends), num_movies + 1), np.iinfo(np.int32).max, np.int32)
    starts = timelines.starts[np.searchsorted(timelines.starts, chunks.reads_from, side="right") - 1]
    for row, (start, reads_from, end) in enumerate(zip(starts, chunks.reads_from, chunks.ends, strict=True)):
        # Of a movie that is watched again the last assignment counts, which is that of the first time.
        first[row, timelines.movies[start:end][::-1]] = np.arange(start, end)[::-1] - reads_from
    first[:, NO_MOVIE] = np.iinfo(np.int32).min
    return first


def _gathered(timelines: TrainTimelines, chunks: Chunks, width: int, num_movies: int | None) -> tuple[np.ndarray, ...]:
    """Return what chunks hold: movies and which are asked for, `[chunks, width]` each, and perhaps `first_columns`."""
    reads_from, labels_from, ends = (rows[:, np.newaxis] for rows in chunks)
    rows = reads_from + np.arange(width)
    within = rows < ends
    # What lies behind a chunk is left out: the row before its end stands in, so that no index leaves the array.
    rows = np.minimum(rows, ends - 1)
    movies = np.where(within, timelines.movies[rows], NO_MOVIE)
    is_asked = within & (rows >= labels_from) & timelines.is_label[rows]
    first = () if num_movies is None else (first_columns(timelines, chunks, num_movies),)
    return movies.astype(np.int32), is_asked, *first
