"""The Transform step: movie ids become places in the vocabulary of the train split."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from numpy.typing import NDArray

from data import features
from data.movie_ids import MovieId, id_array

VOCABULARY = "movie_id"
"""Name of the vocabulary, and of its file in the transform graph's assets."""

CONTEXT_MOVIE_INDEX = "context_movie_index"
"""int64 `[batch, max_context_length]`: 1 + place in the vocabulary; 0 for pads and unknown movies."""

LABEL_MOVIE_INDEX = "label_movie_index"
"""int64 `[batch, 1]`: 1 + place in the vocabulary; 0 for a movie that train never shows."""


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Look movie ids up in a vocabulary built over contexts and labels of train.

    Parameters
    ----------
    inputs
        The shards' features, each `[batch, length]`; only the movie ids and the contexts' lengths are used.

    Returns
    -------
    dict
        `context_movie_index` and `label_movie_index`. The pad is no movie and never enters the vocabulary.
    """
    context = inputs[features.CONTEXT_MOVIE_ID]
    label = inputs[features.LABEL_MOVIE_ID]
    watched = tf.sequence_mask(tf.reshape(inputs[features.CONTEXT_LENGTH], [-1]), tf.shape(context)[1])
    movies = as_word(tf.concat([tf.boolean_mask(context, watched), tf.reshape(label, [-1])], axis=0))
    # TFT adds weighted values up by the batch. Those without weights it hands on to Beam one by one.
    # A process shares its tables by name, and tables of integers and of texts can't be one.
    name = "text_vocabulary" if movies.dtype == tf.string else None
    ones = tf.ones(tf.shape(movies), tf.float32)
    vocabulary = tft.vocabulary(movies, weights=ones, vocab_filename=VOCABULARY, name=name)

    def index(movie_id: tf.Tensor) -> tf.Tensor:
        return tft.apply_vocabulary(as_word(movie_id), vocabulary, default_value=-1) + 1

    return {CONTEXT_MOVIE_INDEX: index(context), LABEL_MOVIE_INDEX: index(label)}


def as_word(movie_id: tf.Tensor) -> tf.Tensor:
    """Return movie ids as the vocabulary has them, in the same shape: a text behind `=`.

    tensorflow_transform leaves empty words out, and the empty text is an id like any other.
    """
    return tf.strings.join(["=", movie_id]) if movie_id.dtype == tf.string else movie_id


def read_vocabulary(transform_output: tft.TFTransformOutput, pad: MovieId = features.PAD_MOVIE_ID) -> NDArray[Any]:
    """Return the ids of the vocabulary, `[num_movies]`, the most frequent first: int64 or byte strings.

    Parameters
    ----------
    transform_output
        The Transform step's result.
    pad
        What stands for no movie; a text where ids are texts.
    """
    words = transform_output.vocabulary_by_name(VOCABULARY)
    if isinstance(pad, str):
        return id_array([word[1:].decode() for word in words], text=True)
    return np.array([int(word) for word in words], dtype=np.int64)
