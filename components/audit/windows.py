"""The windows of an Examples artifact as codes of the catalogue, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from data import features
from data.examples.manifest import Manifest
from data.movie_ids import NO_MOVIE
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.timelines.hashing import mix64
from serving.artifact_files import example_files, read_catalogue, read_manifest

_BATCH = 16_384


@dataclass(frozen=True)
class Windows:
    """Some windows; a movie is its code, 1 + its row in the catalogue.

    Attributes
    ----------
    context
        int64 `[num_windows, max_context_length]`, oldest first, filled up with 0 at the end.
    label
        int64 `[num_windows]`.
    popularity
        byte strings `[num_windows]`: the labels' popularity buckets.
    """

    context: NDArray[np.int64]
    label: NDArray[np.int64]
    popularity: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many movies the contexts hold, int64 `[num_windows]`."""
        return (self.context != NO_MOVIE).sum(axis=1)

    def take(self, rows: NDArray[np.integer]) -> Windows:
        """Return the windows in the given rows."""
        return Windows(self.context[rows], self.label[rows], self.popularity[rows])

    def hashes(self) -> NDArray[np.uint64]:
        """Return a number for each window, uint64 `[num_windows]`: equal ones have equal context and label."""
        found = mix64(self.label)
        for place in range(self.context.shape[1]):
            found = mix64(found ^ self.context[:, place].astype(np.uint64))
        return found

    def repeats_in_context(self) -> NDArray[np.bool_]:
        """Return which contexts hold a movie more than once, `[num_windows]`."""
        ordered = np.sort(self.context, axis=1)
        return ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_MOVIE)).any(axis=1)

    def labels_in_context(self) -> NDArray[np.bool_]:
        """Return which labels stand in their own context, `[num_windows]`."""
        return (self.context == self.label[:, np.newaxis]).any(axis=1)


def join(parts: list[Windows]) -> Windows:
    """Return the windows of several batches, at least one, as one."""
    return Windows(
        np.concatenate([part.context for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.popularity for part in parts]),
    )


@dataclass(frozen=True)
class ExampleFolder:
    """An Examples artifact's folder, wherever TensorFlow can read it, with its manifest and catalogue."""

    root: str
    manifest: Manifest
    catalogue: Catalogue

    @classmethod
    def load(cls, root: str) -> ExampleFolder:
        """Read manifest and catalogue.

        Raises
        ------
        InputError
            One of them can't be read, or is damaged.
        """
        return cls(root, read_manifest(root), read_catalogue(f"{root}/{CATALOGUE_FILE}"))

    def windows(self, split: str) -> Iterator[Windows]:
        """Yield the windows of a split, batch by batch, in the order of its files.

        Raises
        ------
        InputError
            The split's files can't be listed.
        """
        id_type = tf.string if self.catalogue.has_texts else tf.int64
        spec = {
            features.CONTEXT_MOVIE_ID: tf.io.FixedLenFeature([self.manifest.options.max_context_length], id_type),
            features.LABEL_MOVIE_ID: tf.io.FixedLenFeature([], id_type),
            features.LABEL_POPULARITY: tf.io.FixedLenFeature([], tf.string),
        }
        batches = (
            tf.data.TFRecordDataset(example_files(self.root, split), compression_type="GZIP")
            .batch(_BATCH)
            .map(lambda examples: tf.io.parse_example(examples, spec))
            # The next batch is read while this one is worked on.
            .prefetch(1)
        )
        for parsed in batches.as_numpy_iterator():
            yield Windows(
                context=self.catalogue.codes_of(_ids(parsed[features.CONTEXT_MOVIE_ID])),
                label=self.catalogue.codes_of(_ids(parsed[features.LABEL_MOVIE_ID])),
                popularity=parsed[features.LABEL_POPULARITY].astype(np.bytes_),
            )

    def histories(self, split: str, is_drawn: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return all movies before the labels of drawn examples, where examples hold them.

        Parameters
        ----------
        split
            The split, in the order of whose files the examples are.
        is_drawn
            `[num_examples]`: at least one.

        Returns
        -------
        NDArray[np.int64]
            `[num_drawn, longest]`: codes, oldest first, filled up with 0 at the end.
        """
        examples = tf.data.TFRecordDataset(example_files(self.root, split), compression_type="GZIP")
        drawn = [record for record, taken in zip(examples.as_numpy_iterator(), is_drawn, strict=True) if taken]
        spec = {features.SEEN_MOVIE_ID: tf.io.RaggedFeature(tf.string if self.catalogue.has_texts else tf.int64)}
        seen = tf.io.parse_example(drawn, spec)[features.SEEN_MOVIE_ID]
        codes = self.catalogue.codes_of(_ids(seen.values.numpy()))
        return tf.RaggedTensor.from_row_splits(codes, seen.row_splits).to_tensor(NO_MOVIE).numpy()


def _ids(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return ids as the catalogue holds them: TensorFlow hands texts over as objects."""
    return values.astype(np.bytes_) if values.dtype == object else values
