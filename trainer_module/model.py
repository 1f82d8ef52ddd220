"""The two towers and the loss that fits them."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from trainer_module.settings import ModelSettings

NO_MOVIE = 0
"""The index of pads and unknown movies; the movies of the vocabulary follow from 1."""


class QueryTower(keras.Model):
    """A GRU over the embeddings of the movies watched so far.

    Maps context_movie_index int `[batch, length]` to float32 `[batch, embedding_dim]`, or
    `[batch, embedding_dim + 1]` with a trailing one, which meets the candidates' bias in the dot product.
    """

    def __init__(self, table: keras.layers.Embedding, settings: ModelSettings) -> None:
        super().__init__(name="query_tower")
        self._settings = settings
        self._table = table
        self._dropout = keras.layers.Dropout(settings.dropout)
        # Contexts are short and of one length: unrolled, the steps need no loop in the graph.
        self._gru = keras.layers.GRU(settings.embedding_dim, unroll=True)

    def call(self, context_movie_index: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return query embeddings, one a row."""
        mask = tf.not_equal(context_movie_index, NO_MOVIE) if self._settings.mask_padding else None
        embedded = self._dropout(self._table(context_movie_index), training=training)
        state = self._dropout(self._gru(embedded, mask=mask, training=training), training=training)
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
    """Retrieval of the next movie by the dot product of two towers."""

    def __init__(self, num_movies: int, max_context_length: int, settings: ModelSettings) -> None:
        super().__init__()
        self._settings = settings
        table = self._new_table("movie_embedding", num_movies, settings)
        candidate_table = (
            table if settings.tied_tables else self._new_table("candidate_embedding", num_movies, settings)
        )
        self.query_tower = QueryTower(table, settings)
        self.candidate_tower = CandidateTower(candidate_table, settings)
        self.task = tfrs.tasks.Retrieval() if settings.loss == "in_batch" else None
        # Called once, so that every variable exists before weights are saved or compared.
        self.query_tower(tf.zeros([1, max_context_length], tf.int32))
        self.candidate_tower(tf.zeros([1], tf.int32))

    @staticmethod
    def _new_table(name: str, num_movies: int, settings: ModelSettings) -> keras.layers.Embedding:
        return keras.layers.Embedding(num_movies + 1, settings.embedding_dim, name=name)

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
            Scalar: the mean cross-entropy over the catalogue, or the batch's summed cross-entropy over its
            own labels, as `tfrs.tasks.Retrieval` defines it.
        """
        context, label = inputs
        query = self.query_tower(context, training=training)
        if self.task is not None:
            return self.task(query, self.candidate_tower(label), compute_metrics=False)
        logits = tf.matmul(query, self.candidate_tower.catalogue(), transpose_b=True)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(label - 1, logits))
