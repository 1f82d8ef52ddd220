"""The model as it is fitted to chunks of timelines: the towers are the same, and only the loss differs."""

from __future__ import annotations

import tensorflow as tf

from trainer_module.model import NO_MOVIE, NextMovieModel, catalogue_loss


class ChunkedNextMovieModel(NextMovieModel):
    """Retrieval of the next movie, fitted to all labels of a chunk at once."""

    def compute_loss(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Return the loss of a batch of chunks.

        Parameters
        ----------
        inputs
            Movies int `[chunks, length]`, post-padded, and which of them are labels, bool of the same shape.
        training
            Whether dropout applies.

        Returns
        -------
        tf.Tensor
            Scalar: the mean over the labels of the cross-entropy over the catalogue without the movies that serving
            leaves out, the last ones before the label, as many as a context has.
        """
        movies, is_label = inputs
        # A label is asked for at the movie before it.
        places = tf.cast(tf.where(is_label[:, 1:]), tf.int32)
        label = tf.gather_nd(movies[:, 1:], places)
        query = self.query_tower.along(movies[:, :-1], places, training=training)
        context = contexts_at(movies, places, self.max_context_length)
        return tf.reduce_mean(catalogue_loss(query, self.candidate_tower.by_index(), context, label))


def contexts_at(movies: tf.Tensor, places: tf.Tensor, length: int) -> tf.Tensor:
    """Return the last movies up to places of chunks, int `[num_places, length]`, filled up at the beginning.

    Parameters
    ----------
    movies
        int `[chunks, any length]`.
    places
        int32 `[num_places, 2]`: row and column.
    length
        How many movies.
    """
    padded = tf.pad(movies, [[0, 0], [length - 1, 0]], constant_values=NO_MOVIE)
    columns = places[:, 1:] + tf.range(length)
    rows = tf.broadcast_to(places[:, :1], tf.shape(columns))
    return tf.gather_nd(padded, tf.stack([rows, columns], axis=-1))
