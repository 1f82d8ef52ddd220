"""What the textbook's Transform calls: the project's vocabulary as TFX's tutorials would ask for it."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft

from data import features
from trainer_module.preprocessing import CONTEXT_MOVIE_INDEX, LABEL_MOVIE_INDEX, VOCABULARY


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Give what `trainer_module.preprocessing.preprocessing_fn` gives, values counted as they come.

    Parameters
    ----------
    inputs
        The shards' features, each `[batch, length]`.

    Returns
    -------
    dict
        `context_movie_index` and `label_movie_index`.
    """
    context, label = inputs[features.CONTEXT_MOVIE_ID], inputs[features.LABEL_MOVIE_ID]
    shown = tf.concat([tf.reshape(context, [-1]), tf.reshape(label, [-1])], axis=0)
    movies = tf.boolean_mask(shown, tf.not_equal(shown, features.PAD_MOVIE_ID))
    vocabulary = tft.vocabulary(movies, vocab_filename=VOCABULARY)
    return {
        name: tft.apply_vocabulary(ids, vocabulary, default_value=-1) + 1
        for name, ids in ((CONTEXT_MOVIE_INDEX, context), (LABEL_MOVIE_INDEX, label))
    }
