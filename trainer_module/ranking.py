"""Exact ranks by counting over the whole catalogue."""

from __future__ import annotations

import tensorflow as tf


def rank_of_label(scores: tf.Tensor, label: tf.Tensor, left_out: tf.Tensor | None = None) -> tf.Tensor:
    """Count the candidates that stand before the label, the label's own place included.

    Ties count against the model (GRU4Rec calls this the conservative choice), and so does a score that is not
    finite: a model that answers NaN for everything ranks every label last.

    Parameters
    ----------
    scores
        float32 `[num_queries, num_candidates]`.
    label
        int `[num_queries]`: the label's column in `scores`, or -1 if the catalogue lacks it.
    left_out
        bool `[num_queries, num_candidates]`: candidates that are not offered and so can't stand before the
        label. A label that is left out itself can't be offered either.

    Returns
    -------
    tf.Tensor
        int64 `[num_queries]`, from 1 (best) to `num_candidates`; `num_candidates + 1` for a label that can't
        be offered, so that it fails at every k and stays in the denominator.
    """
    num_candidates = tf.shape(scores)[1]
    column = tf.cast(tf.maximum(label, 0), tf.int32)
    label_score = tf.gather(scores, column, axis=1, batch_dims=1)
    label_score = tf.where(tf.math.is_finite(label_score), label_score, scores.dtype.min)
    before = tf.logical_or(~tf.math.is_finite(scores), scores >= label_score[:, tf.newaxis])
    offered = label >= 0
    if left_out is not None:
        before = tf.logical_and(before, ~left_out)
        offered = tf.logical_and(offered, ~tf.gather(left_out, column, axis=1, batch_dims=1))
    rank = tf.reduce_sum(tf.cast(before, tf.int64), axis=1)
    return tf.where(offered, rank, tf.cast(num_candidates, tf.int64) + 1)


def columns_of(context_movie_index: tf.Tensor, num_candidates: tf.Tensor | int) -> tf.Tensor:
    """Mark the candidates that a context holds.

    Parameters
    ----------
    context_movie_index
        int `[num_queries, any length]`, 0 standing for no movie.
    num_candidates
        Size of the catalogue.

    Returns
    -------
    tf.Tensor
        bool `[num_queries, num_candidates]`; candidate c is the movie of index c + 1.
    """
    index = tf.cast(context_movie_index, tf.int32)
    num_queries = tf.shape(index)[0]
    query = tf.broadcast_to(tf.range(num_queries)[:, tf.newaxis], tf.shape(index))
    # Column 0 catches the pads, and is cut off.
    marked = tf.scatter_nd(
        tf.stack([query, index], axis=-1),
        tf.ones_like(index, dtype=tf.int32),
        [num_queries, num_candidates + 1],
    )
    return marked[:, 1:] > 0
