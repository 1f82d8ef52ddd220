"""From example files to integer arrays in memory, and from those to batches."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from data import features
from data.errors import InputError
from data.movie_ids import MovieId
from trainer_module.preprocessing import CONTEXT_MOVIE_INDEX, LABEL_MOVIE_INDEX

_PARSE_BATCH = 8192
"""Examples parsed at once; beyond some thousands nothing is gained."""

_PARSE_THREADS = os.cpu_count() or 1


@dataclass(frozen=True)
class Windows:
    """Windows as places in the vocabulary, 0 standing for no movie.

    Attributes
    ----------
    context
        int32 `[num_windows, max_context_length]`, oldest first, post-padded.
    label
        int32 `[num_windows]`.
    """

    context: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> Windows:
        """Return the given rows (int or bool `[num_windows]`)."""
        return Windows(self.context[rows], self.label[rows])


def parse_and_transform(
    serialized: tf.Tensor, transform_output: tft.TFTransformOutput, layer: tf.Module
) -> tuple[tf.Tensor, tf.Tensor]:
    """Parse serialised examples and apply the transform graph.

    Parameters
    ----------
    serialized
        string `[batch]`.
    transform_output
        Gives the raw features' shapes.
    layer
        `transform_output.transform_features_layer()`, made once by the caller.

    Returns
    -------
    tuple
        context int64 `[batch, max_context_length]` and label int64 `[batch]`. The label is squeezed: in shape
        `[batch, 1]` a retrieval loss is silently wrong.
    """
    # Only what the graph uses: parsing genres, which it doesn't use, would take most of the time.
    spec = transform_output.raw_feature_spec()
    used = {name: spec[name] for name in (features.CONTEXT_MOVIE_ID, features.LABEL_MOVIE_ID)}
    transformed = layer(tf.io.parse_example(serialized, used))
    return transformed[CONTEXT_MOVIE_INDEX], tf.squeeze(transformed[LABEL_MOVIE_INDEX], axis=1)


def parse_any_length(serialized: tf.Tensor, pad: MovieId = features.PAD_MOVIE_ID) -> tuple[tf.Tensor, tf.Tensor]:
    """Parse serialised examples whose contexts need not be of one length, nor of the training data's.

    Training parses a fixed length, which is quicker: see `parse_and_transform`.

    Parameters
    ----------
    serialized
        string `[batch]`.
    pad
        What stands for no movie; a text where ids are texts.

    Returns
    -------
    tuple
        Movie ids, int64 or string: context `[batch, longest]`, post-padded, and label `[batch]`.
    """
    kind = tf.string if isinstance(pad, str) else tf.int64
    parsed = tf.io.parse_example(
        serialized,
        {
            features.CONTEXT_MOVIE_ID: tf.io.RaggedFeature(kind),
            features.LABEL_MOVIE_ID: tf.io.FixedLenFeature([1], kind),
        },
    )
    context = parsed[features.CONTEXT_MOVIE_ID].to_tensor(tf.constant(pad, kind))
    return context, tf.squeeze(parsed[features.LABEL_MOVIE_ID], axis=1)


def parse_seen(serialized: tf.Tensor, pad: MovieId = features.PAD_MOVIE_ID) -> tf.Tensor:
    """Parse the whole histories of serialised examples that hold them: see `data.features.SEEN_MOVIE_ID`.

    Parameters
    ----------
    serialized
        string `[batch]`.
    pad
        What stands for no movie; a text where ids are texts.

    Returns
    -------
    tf.Tensor
        Movie ids, int64 or string `[batch, longest]`, post-padded; `[batch, 0]` where no example holds any.
    """
    kind = tf.string if isinstance(pad, str) else tf.int64
    parsed = tf.io.parse_example(serialized, {features.SEEN_MOVIE_ID: tf.io.RaggedFeature(kind)})
    return parsed[features.SEEN_MOVIE_ID].to_tensor(tf.constant(pad, kind))


def read_windows(files: Sequence[str], transform_output: tft.TFTransformOutput) -> Windows:
    """Read example files whole.

    A window is eleven integers, so that a million fit in 44 MB and no epoch has to read a file again.

    Parameters
    ----------
    files
        Gzipped TFRecord files of `tf.Example`, at least one.
    transform_output
        The Transform step's result.

    Raises
    ------
    InputError
        The files hold no example.
    """
    layer = transform_output.transform_features_layer()

    # There is no Python control flow to rewrite, and AutoGraph would spend seconds on tensorflow_transform's code.
    @tf.autograph.experimental.do_not_convert
    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return parse_and_transform(serialized, transform_output, layer)

    batches = (
        # One file after the other: `num_parallel_reads` hands over single examples, which takes nine times as long.
        tf.data.TFRecordDataset(list(files), compression_type="GZIP")
        .batch(_PARSE_BATCH)
        .map(parse, num_parallel_calls=_PARSE_THREADS)
        .map(lambda context, label: (tf.cast(context, tf.int32), tf.cast(label, tf.int32)))
        .prefetch(_PARSE_THREADS)
        .with_options(untuned())
    )
    parts = list(batches.as_numpy_iterator())
    if not parts:
        raise InputError(
            f"{', '.join(files)} hold no example: run again with --no-cache, which makes them anew", code="R05"
        )
    return Windows(
        context=np.concatenate([context for context, _ in parts]),
        label=np.concatenate([label for _, label in parts]),
    )


_Self = TypeVar("_Self")


class Labelled(Protocol):
    """What holds labels, some of which can be taken: `Windows`, or the timelines of `trainer_module.timelines`."""

    def __len__(self) -> int:
        """Return the number of labels."""

    def take(self: _Self, rows: np.ndarray) -> _Self:
        """Return what holds the given labels alone."""


_Labelled = TypeVar("_Labelled", bound=Labelled)


def hold_out(train: _Labelled, fraction: float, seed: int) -> tuple[_Labelled, _Labelled]:
    """Split train labels into those to fit and those to watch the fit with.

    Parameters
    ----------
    train
        The train split, never the eval split.
    fraction
        Share to hold out; the held-out part is rounded down.
    seed
        Fixes the choice.

    Returns
    -------
    tuple
        Those to fit and the held-out ones.
    """
    order = np.random.default_rng(seed).permutation(len(train))
    held_out = np.zeros(len(train), dtype=bool)
    held_out[order[: int(len(train) * fraction)]] = True
    return train.take(~held_out), train.take(held_out)


def training_batches(windows: Windows, batch_size: int, *, seed: int, reshuffle: bool) -> tf.data.Dataset:
    """Return one epoch of shuffled batches of (context int32 `[batch, length]`, label int32 `[batch]`).

    Row numbers are shuffled all at once and rows gathered by the batch: single windows, or even their numbers, pushed
    through `tf.data` would cost a tenth of a small model's step. Windows that fill no whole batch are left out
    of the epoch, unless batches are the same in each epoch or all windows together fill none.
    """
    context, label = tf.constant(windows.context), tf.constant(windows.label)
    drop_remainder = reshuffle and len(windows) >= batch_size
    steps = len(windows) // batch_size if drop_remainder else math.ceil(len(windows) / batch_size)

    def rows_of_batches(epoch_seed: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(windows)), [epoch_seed, 0])
        return tf.data.Dataset.range(steps).map(lambda step: order[step * batch_size : (step + 1) * batch_size])

    return (
        tf.data.Dataset.random(seed, rerandomize_each_iteration=reshuffle)
        .take(1)
        .flat_map(rows_of_batches)
        .apply(tf.data.experimental.assert_cardinality(steps))
        .map(lambda rows: (tf.gather(context, rows), tf.gather(label, rows)), num_parallel_calls=1)
        .prefetch(4)
        .with_options(untuned())
    )


def untuned() -> tf.data.Options:
    """Return options under which an iterator reads in order and tunes nothing.

    In order, the same data gives the same windows, and so the same model. And an iterator's end waits for its tuner's,
    which sometimes sleeps for as long as the iterator lived: some 20 s after an epoch.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return options
