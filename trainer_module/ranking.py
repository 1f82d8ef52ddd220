"""Exact ranks by counting over the whole catalogue."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def rank_of_label(scores: tf.Tensor, label: tf.Tensor, excluded: tf.Tensor | None = None) -> tf.Tensor:
    """Return the rank of each label: the number of candidates up to and including it.

    Ties count against the model (GRU4Rec calls this the conservative choice), and so does a score that is not
    finite: a model that answers NaN for everything ranks every label last.

    Parameters
    ----------
    scores
        float32 `[num_queries, num_candidates]`.
    label
        int `[num_queries]`: the label's column in `scores`, or -1 if the catalogue lacks it.
    excluded
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
    if excluded is not None:
        before = tf.logical_and(before, ~excluded)
        offered = tf.logical_and(offered, ~tf.gather(excluded, column, axis=1, batch_dims=1))
    rank = tf.reduce_sum(tf.cast(before, tf.int64), axis=1)
    return tf.where(offered, rank, tf.cast(num_candidates, tf.int64) + 1)


class FixedScores(tf.Module):
    """Scores that are the same for every query, such as popularity, and ranks by them.

    Parameters
    ----------
    scores
        `[num_candidates]`, finite.
    name
        Of the variables.
    """

    def __init__(self, scores: np.ndarray, name: str) -> None:
        super().__init__(name=name)
        values = np.asarray(scores, np.float32)
        self.scores = tf.Variable(values, trainable=False, name="scores")
        # For each candidate how many score at least as much, itself included: its rank if nothing is left out.
        ahead = len(values) - np.searchsorted(np.sort(values), values, side="left")
        self._ahead = tf.Variable(ahead, dtype=tf.int64, trainable=False, name="ahead")

    def rank_of_label(self, label: tf.Tensor, context_movie_index: tf.Tensor) -> tf.Tensor:
        """Return ranks as `rank_of_label` does, with the contexts' movies left out.

        They are subtracted from a rank that is computed once, so that no query looks at the whole catalogue.

        Parameters
        ----------
        label
            int `[num_queries]`: the label's place among the candidates, or -1 if the catalogue lacks it.
        context_movie_index
            int `[num_queries, any length]`, 0 standing for no movie; candidate c is the movie of index c + 1.

        Returns
        -------
        tf.Tensor
            int64 `[num_queries]`.
        """
        place = tf.maximum(label, 0)
        # A movie that a context holds twice is left out once.
        index = tf.sort(context_movie_index, axis=1)
        first = tf.concat([tf.ones_like(index[:, :1], tf.bool), index[:, 1:] != index[:, :-1]], axis=1)
        stands_before = tf.gather(self.scores, tf.maximum(index - 1, 0)) >= tf.gather(self.scores, place)[:, tf.newaxis]
        excluded = tf.reduce_sum(tf.cast(stands_before & first & (index > 0), tf.int64), axis=1)
        offered = (label >= 0) & ~tf.reduce_any(index == tf.cast(label + 1, index.dtype)[:, tf.newaxis], axis=1)
        return tf.where(offered, tf.gather(self._ahead, place) - excluded, tf.size(self._ahead, tf.int64) + 1)


def seen_mask(context_movie_index: tf.Tensor, num_candidates: tf.Tensor | int) -> tf.Tensor:
    """Return which candidates each context holds.

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
