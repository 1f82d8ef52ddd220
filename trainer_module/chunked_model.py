"""The model as it is fitted to chunks of timelines: the towers are the same, and only the loss differs."""

from __future__ import annotations

import tensorflow as tf

from trainer_module.long_runs import movies_up_to
from trainer_module.model import NextMovieModel, catalogue_loss, loss_without


class ChunkedNextMovieModel(NextMovieModel):
    """Retrieval of the next movie, fitted to all labels of a chunk at once."""

    def compute_loss(self, inputs: tuple[tf.Tensor, ...], training: bool = False) -> tf.Tensor:
        """Return the loss of a batch of chunks.

        Parameters
        ----------
        inputs
            Movies int `[chunks, length]`, post-padded, which of them are labels, bool of the same shape, and where the
            model reads histories the table of `trainer_module.timelines.first_columns`.
        training
            Whether dropout applies.

        Returns
        -------
        tf.Tensor
            Scalar: the mean over the labels of the cross-entropy over the catalogue without the movies that serving
            leaves out: the last ones before the label, as many as a context has, or all earlier ones.
        """
        movies, is_label, *first = inputs
        places, label = asked(movies, is_label)
        query = self.query_tower.along(movies[:, :-1], places, training=training)
        candidates = self.candidate_tower.by_index()
        if first:
            return tf.reduce_mean(loss_without(query, candidates, watched_before(first[0], places), label))
        context = movies_up_to(movies, places, self.max_context_length)
        return tf.reduce_mean(catalogue_loss(query, candidates, context, label))


def asked(movies: tf.Tensor, is_label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the places int32 `[num_labels, 2]` of the movies before chunks' labels, and these, int `[num_labels]`."""
    places = tf.cast(tf.where(is_label[:, 1:]), tf.int32)
    return places, tf.gather_nd(movies[:, 1:], places)


def watched_before(first: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Return what is watched up to places of chunks, bool `[num_places, num_movies + 1]`; no movie counts as watched.

    Parameters
    ----------
    first
        The table of `trainer_module.timelines.first_columns`.
    places
        int32 `[num_places, 2]`: row and column.
    """
    return tf.gather(first, places[:, 0]) <= places[:, 1:]
