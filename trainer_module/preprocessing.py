"""The Transform step: movie ids become places in the vocabulary of the train split."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft

from data import features

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
        The shards' features, each `[batch, length]`; only the movie ids are used.

    Returns
    -------
    dict
        `context_movie_index` and `label_movie_index`. The pad is no movie and never enters the vocabulary.
    """
    context = inputs[features.CONTEXT_MOVIE_ID]
    label = inputs[features.LABEL_MOVIE_ID]
    shown = tf.concat([tf.reshape(context, [-1]), tf.reshape(label, [-1])], axis=0)
    movies = tf.boolean_mask(shown, tf.not_equal(shown, features.PAD_MOVIE_ID))
    # TFT adds weighted values up by the batch. Those without weights it hands on to Beam one by one.
    vocabulary = tft.vocabulary(movies, weights=tf.ones_like(movies, tf.float32), vocab_filename=VOCABULARY)

    def index(movie_id: tf.Tensor) -> tf.Tensor:
        return tft.apply_vocabulary(movie_id, vocabulary, default_value=-1) + 1

    return {CONTEXT_MOVIE_INDEX: index(context), LABEL_MOVIE_INDEX: index(label)}
