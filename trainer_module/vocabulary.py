"""The movies that a model knows: those of the Transform step's vocabulary, and vanished ones behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from numpy.typing import NDArray

from data.movie_ids import MovieId
from trainer_module.preprocessing import VOCABULARY, read_vocabulary


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary and its file, whose lines are its words in their order.

    Attributes
    ----------
    file
        A path that TensorFlow's file layer knows.
    movie_ids
        `[num_movies]`: int64 or byte strings.
    """

    file: str
    movie_ids: NDArray[Any]

    @classmethod
    def of(cls, transform_output: tft.TFTransformOutput, pad: MovieId) -> Vocabulary:
        """Return the Transform step's vocabulary; the pad is a text where ids are texts."""
        return cls(
            transform_output.vocabulary_file_by_name(VOCABULARY),
            read_vocabulary(transform_output, pad),
        )

    def with_more(self, movie_ids: NDArray[Any], folder: str) -> Vocabulary:
        """Return this vocabulary with more movies at its end, so that all others keep their places.

        Parameters
        ----------
        movie_ids
            `[n]`, of the same kind: movies that it lacks. Where there are none, nothing is written.
        folder
            Takes the file, which bears the name that the Transform step's has.
        """
        if not len(movie_ids):
            return self
        file = f"{folder}/{VOCABULARY}"
        tf.io.gfile.makedirs(folder)
        words = [b"=" + word if isinstance(word, bytes) else b"%d" % word for word in movie_ids.tolist()]
        with tf.io.gfile.GFile(self.file, "rb") as known, tf.io.gfile.GFile(file, "wb") as grown:
            grown.write(known.read() + b"".join(word + b"\n" for word in words))
        return Vocabulary(file, np.concatenate([self.movie_ids, movie_ids]))
