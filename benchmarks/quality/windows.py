"""Train and eval windows of a generated data set as arrays, without the pipeline."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from data import features
from data.examples.manifest import Manifest
from data.examples.shards import TIMELINES, Split
from data.generate import generate
from data.options import GenerateOptions
from trainer_module.dataset import Windows
from trainer_module.settings import TrainingSettings
from trainer_module.timelines import TrainTimelines, read_timelines

_PARSE_BATCH = 8192
_SEEN = features.SEEN_MOVIE_ID


@dataclass(frozen=True)
class DataSet:
    """Windows over one vocabulary.

    Attributes
    ----------
    train, evaluation
        Movies as places in the vocabulary from 1, 0 for none; an eval label that train never shows is 0.
    movie_ids
        int64 `[num_movies]`: the vocabulary, which is that of the Transform step in another order.
    histories
        For each eval window all movies before its label, int32 `[any length]`, oldest first; those that train never
        shows are 0. None where only contexts are left out when ranking.
    timelines
        The train timelines over the same vocabulary; None where the data have none.
    cold_labels
        Labels that are not among the eval windows since train doesn't show their user or their movie; 0 under splits
        that keep them.
    """

    train: Windows
    evaluation: Windows
    movie_ids: np.ndarray
    histories: tuple[np.ndarray, ...] | None = None
    timelines: TrainTimelines | None = None
    cold_labels: int = 0

    def train_for(self, training: TrainingSettings) -> Windows | TrainTimelines:
        """Return what the form of training reads.

        Raises
        ------
        ValueError
            It reads timelines, and the data set has none.
        """
        if training.form == "windows":
            return self.train
        if self.timelines is None:
            raise ValueError("the data set has no timelines to cut chunks of")
        return self.timelines

    @property
    def num_movies(self) -> int:
        """Size of the vocabulary."""
        return len(self.movie_ids)


def data_folder(options: GenerateOptions, work_dir: Path) -> Path:
    """Return where windows are kept: a folder for each release, split, length and share of train."""
    choices = [options.release, options.split, options.max_context_length, f"{options.train_fraction:g}"]
    choices += [f"least-{options.min_movie_ratings}"] if options.min_movie_ratings else []
    choices += [f"without-{options.leave_out}"] if options.leave_out else []
    choices += [TIMELINES] if options.timelines else []
    return work_dir / "-".join(map(str, choices))


def make_data_set(
    options: GenerateOptions,
    source: Path | None,
    work_dir: Path,
    *,
    with_eval: bool = True,
    movie_ids: np.ndarray | None = None,
) -> DataSet:
    """Generate a release's windows, if they are not there yet, and read them.

    Parameters
    ----------
    options
        The release, and how windows are made and split.
    source
        The release's archive or folder; None if it may be downloaded.
    work_dir
        Where windows are kept, see `data_folder`.
    with_eval
        Whether to read the eval split; else it holds no window.
    movie_ids
        int64 `[num_movies]`, ascending: the vocabulary; by default the movies of train.

    Raises
    ------
    InputError
        The release can't be had or read.
    """
    folder = data_folder(options, work_dir)
    generate(options, folder, source=source, progress=lambda line: print(line, file=sys.stderr))
    return read_data_set(folder, with_eval=with_eval, movie_ids=movie_ids)


def read_data_set(folder: Path, *, with_eval: bool = True, movie_ids: np.ndarray | None = None) -> DataSet:
    """Read what `data.generate` wrote; without the eval split, its files are not opened."""
    manifest = Manifest.load(folder)
    context, label = _read(folder, manifest, "train")
    raw: dict[Split, tuple[np.ndarray, np.ndarray]] = {"train": (context, label), "eval": (context[:0], label[:0])}
    if with_eval:
        raw["eval"] = _read(folder, manifest, "eval")
    if movie_ids is None:
        movie_ids = np.setdiff1d(np.unique(np.concatenate([context.ravel(), label])), [features.PAD_MOVIE_ID])

    def index(ids: np.ndarray) -> np.ndarray:
        place = np.minimum(np.searchsorted(movie_ids, ids), len(movie_ids) - 1)
        return np.where(movie_ids[place] == ids, place + 1, 0).astype(np.int32)

    def windows(split: Split) -> Windows:
        return Windows(context=index(raw[split][0]), label=index(raw[split][1]))

    histories = None
    if with_eval and manifest.options.leave_out is not None:
        histories = tuple(index(history) for history in _read_histories(folder, manifest))
    files = [str(folder / shard.name) for shard in manifest.shards_of(TIMELINES)]
    timelines = read_timelines(files, movie_ids, manifest.options.max_context_length) if files else None
    left_out = manifest.left_out
    cold_labels = left_out.of_users + left_out.of_movies if left_out else 0
    return DataSet(windows("train"), windows("eval"), movie_ids, histories, timelines, cold_labels)


def with_longer_contexts(data: DataSet, length: int) -> DataSet:
    """Return the data set with the ends of whole histories for eval contexts, and of timelines for those of train.

    Parameters
    ----------
    data
        With histories, which stay what is left out when ranking. The train windows stay as they are.
    length
        How many known movies a context holds at most.
    """
    context = ends_of(data.histories or (), length)
    timelines = None if data.timelines is None else replace(data.timelines, max_context_length=length)
    return replace(data, evaluation=Windows(context, data.evaluation.label), timelines=timelines)


def ends_of(histories: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Return the last movies of each history that train shows, int32 `[n, length]`, post-padded with 0."""
    ends = np.zeros((len(histories), length), np.int32)
    for row, history in enumerate(histories):
        known = history[history > 0][-length:]
        ends[row, : len(known)] = known
    return ends


def is_among(data: DataSet, other: DataSet) -> np.ndarray:
    """Say of each train window of a data set whether another one's train has it too.

    Parameters
    ----------
    data, other
        Windows of one length; their vocabularies may differ.

    Returns
    -------
    np.ndarray
        bool `[len(data.train)]`.
    """
    return np.isin(_rows(data), _rows(other))


def _rows(data: DataSet) -> np.ndarray:
    """Return the train windows as movie ids, each as one value that can be compared, `[len(data.train)]`."""
    ids = np.append(features.PAD_MOVIE_ID, data.movie_ids)
    rows = np.column_stack([ids[data.train.context], ids[data.train.label]])
    return np.ascontiguousarray(rows).view(f"V{rows.dtype.itemsize * rows.shape[1]}").ravel()


def _read(folder: Path, manifest: Manifest, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return contexts `[n, length]` and labels `[n]` of a split as movie ids."""
    spec = {
        features.CONTEXT_MOVIE_ID: tf.io.FixedLenFeature([manifest.options.max_context_length], tf.int64),
        features.LABEL_MOVIE_ID: tf.io.FixedLenFeature([], tf.int64),
    }
    files = [str(folder / shard.name) for shard in manifest.shards_of(split)]
    batches = (
        tf.data.TFRecordDataset(files, compression_type="GZIP")
        .batch(_PARSE_BATCH)
        .map(lambda serialized: tf.io.parse_example(serialized, spec))
    )
    parts = list(batches.as_numpy_iterator())
    return (
        np.concatenate([part[features.CONTEXT_MOVIE_ID] for part in parts]),
        np.concatenate([part[features.LABEL_MOVIE_ID] for part in parts]),
    )


def _read_histories(folder: Path, manifest: Manifest) -> list[np.ndarray]:
    """Return the histories of the eval examples as movie ids, each int64 `[any length]`."""
    files = [str(folder / shard.name) for shard in manifest.shards_of("eval")]
    batches = (
        tf.data.TFRecordDataset(files, compression_type="GZIP")
        .batch(_PARSE_BATCH)
        .map(lambda serialized: tf.io.parse_example(serialized, {_SEEN: tf.io.RaggedFeature(tf.int64)})[_SEEN])
    )
    histories: list[np.ndarray] = []
    for batch in batches:
        histories += np.split(batch.values.numpy(), batch.row_splits.numpy()[1:-1])
    return histories
