"""The two towers and the loss that fits them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from trainer_module.ranking import columns_of
from trainer_module.settings import ModelSettings

NO_MOVIE = 0
"""The index of pads and unknown movies; the movies of the vocabulary follow from 1."""

_RECENCY_DECAY = 0.15
"""Where the weights of the recency mean start: each place further back weighs exp(-0.15) = 0.86 of the next."""

_RECENCY_GAIN = 2.0
"""How much larger than the mean itself its share in the query is. Validation recall@10 on ml-latest-small at gains of
0, 1, 2 and 3 was 0.1149, 0.1174, 0.1194 and 0.1198, one seed each (docs/quality.md)."""


class RecencyMean(keras.layers.Layer):
    """A mean of a context's embeddings in which the last movies weigh most.

    Maps embeddings float32 `[batch, length, dim]` and the mask bool `[batch, length]` of what is a movie to float32
    `[batch, dim]`. A movie's weight depends on its distance from the end alone, and is learned.
    """

    def __init__(self, max_context_length: int) -> None:
        super().__init__(name="recency_mean")
        distance = tf.range(max_context_length, dtype=tf.float32)
        self._log_weight = self.add_weight(
            name="log_weight",
            shape=[max_context_length],
            initializer=lambda shape, dtype: tf.cast(-_RECENCY_DECAY * distance, dtype),
        )

    def call(self, embedded: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Return one mean a row; zeros for a row without a movie."""
        movies = tf.cast(mask, embedded.dtype)
        # Contexts have no gaps, so that what follows a place is its distance from the end.
        distance = tf.cast(tf.cumsum(movies, axis=1, exclusive=True, reverse=True), tf.int32)
        weight = movies * tf.exp(tf.gather(self._log_weight, distance))
        weight = tf.math.divide_no_nan(weight, tf.reduce_sum(weight, axis=1, keepdims=True))
        return tf.einsum("bl,bld->bd", weight, embedded)


class QueryTower(keras.Model):
    """A GRU over the embeddings of the movies watched so far, with a short cut past it.

    The short cut, a recency-weighted mean of the same embeddings, says what the movies are about; the GRU adds what
    their order says.

    Maps context_movie_index int `[batch, length]` to float32 `[batch, embedding_dim]`, or
    `[batch, embedding_dim + 1]` with a trailing one, which meets the candidates' bias in the dot product.
    """

    def __init__(self, table: keras.layers.Embedding, max_context_length: int, settings: ModelSettings) -> None:
        super().__init__(name="query_tower")
        self._settings = settings
        self._table = table
        self._dropout = keras.layers.Dropout(settings.dropout)
        # Contexts are short and of one length: unrolled, the steps need no loop in the graph.
        self._gru = keras.layers.GRU(settings.embedding_dim, unroll=True)
        self._recency_mean = RecencyMean(max_context_length) if settings.recency_mean else None

    def call(self, context_movie_index: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return query embeddings, one a row."""
        movies = tf.not_equal(context_movie_index, NO_MOVIE)
        mask = movies if self._settings.mask_padding else None
        embedded = self._table(context_movie_index)
        state = self._gru(self._dropout(embedded, training=training), mask=mask, training=training)
        if self._recency_mean is not None:
            state += _RECENCY_GAIN * self._recency_mean(embedded, movies)
        state = self._dropout(state, training=training)
        if not self._settings.item_bias:
            return state
        return tf.concat([state, tf.ones_like(state[:, :1])], axis=1)


class CandidateTower(keras.Model):
    """An embedding for each movie.

    Maps movie_index int `[batch]` to float32 `[batch, embedding_dim]`, or `[batch, embedding_dim + 1]` with
    the bias last.
    """

    def __init__(self, table: keras.layers.Embedding, settings: ModelSettings) -> None:
        super().__init__(name="candidate_tower")
        self._table = table
        self._bias = (
            keras.layers.Embedding(table.input_dim, 1, embeddings_initializer="zeros", name="item_bias")
            if settings.item_bias
            else None
        )

    def call(self, movie_index: tf.Tensor) -> tf.Tensor:
        """Return candidate embeddings, one a row."""
        embedded = self._table(movie_index)
        return embedded if self._bias is None else tf.concat([embedded, self._bias(movie_index)], axis=1)

    def catalogue(self) -> tf.Tensor:
        """Return all candidates, float32 `[num_candidates, dim]`; row c is the movie of index c + 1."""
        embedded = self._table.embeddings
        if self._bias is not None:
            embedded = tf.concat([embedded, self._bias.embeddings], axis=1)
        return embedded[1:]


class NextMovieModel(tfrs.Model):
    """Retrieval of the next movie by the dot product of two towers.

    Parameters
    ----------
    num_movies
        Size of the vocabulary.
    max_context_length
        Length of the contexts.
    settings
        The towers and the loss.
    initial_embeddings
        float32 `[num_movies + 1, embedding_dim]` to start from, row 0 standing for no movie; by default random.
    """

    def __init__(
        self,
        num_movies: int,
        max_context_length: int,
        settings: ModelSettings,
        initial_embeddings: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        table = self._new_table("movie_embedding", num_movies, settings, initial_embeddings)
        candidate_table = (
            table
            if settings.tied_tables
            else self._new_table("candidate_embedding", num_movies, settings, initial_embeddings)
        )
        self.query_tower = QueryTower(table, max_context_length, settings)
        self.candidate_tower = CandidateTower(candidate_table, settings)
        self.task = tfrs.tasks.Retrieval() if settings.loss == "in_batch" else None
        # Called once, so that every variable exists before weights are saved or compared.
        self.query_tower(tf.zeros([1, max_context_length], tf.int32))
        self.candidate_tower(tf.zeros([1], tf.int32))

    @staticmethod
    def _new_table(
        name: str, num_movies: int, settings: ModelSettings, initial: np.ndarray | None
    ) -> keras.layers.Embedding:
        initializer = "uniform" if initial is None else keras.initializers.Constant(initial)
        return keras.layers.Embedding(
            num_movies + 1, settings.embedding_dim, embeddings_initializer=initializer, name=name
        )

    def compute_loss(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        inputs
            context int `[batch, length]` and label int `[batch]`, never `[batch, 1]`.
        training
            Whether dropout applies.

        Returns
        -------
        tf.Tensor
            Scalar: the mean cross-entropy over the catalogue without each context's own movies, or the batch's summed
            cross-entropy over its own labels, as `tfrs.tasks.Retrieval` defines it.
        """
        context, label = inputs
        query = self.query_tower(context, training=training)
        if self.task is not None:
            return self.task(query, self.candidate_tower(label), compute_metrics=False)
        logits = tf.matmul(query, self.candidate_tower.catalogue(), transpose_b=True)
        logits = _without_context(logits, context, label)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(label - 1, logits))


def _without_context(logits: tf.Tensor, context: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Take what serving leaves out, the context's own movies, out of the softmax.

    Without it the model spends itself on pushing away what it will never be asked for: a context's movies are the
    ones that its own mean points to.

    Parameters
    ----------
    logits
        float32 `[batch, num_movies]`.
    context
        int `[batch, length]`, 0 standing for no movie.
    label
        int `[batch]`. A label that its own context holds stays in: a loss without it would be infinite.

    Returns
    -------
    tf.Tensor
        float32 `[batch, num_movies]`.
    """
    num_movies = logits.shape[1]
    is_label = tf.one_hot(label - 1, num_movies, on_value=True, off_value=False)
    return tf.where(columns_of(context, num_movies) & ~is_label, logits.dtype.min, logits)
