"""The two towers and the loss that fits them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from data.movie_ids import NO_MOVIE
from trainer_module.long_runs import last_places, movies_up_to, states_at
from trainer_module.recurrence import states_along
from trainer_module.settings import ModelSettings

"""The index of pads and unknown movies; the movies of the vocabulary follow from 1."""

EMBEDDING = "embedding"
"""The name, among a model's weights, of the table of the contexts' movies, float32 `[num_movies + 1, dim]`."""

CANDIDATES = "candidates"
"""The name of the candidates among a model's weights, as `CandidateTower.catalogue` gives them."""

_RECENCY_DECAY = 0.15
"""Where the weights of the recency mean start: each place further back weighs exp(-0.15) = 0.86 of the next."""

_RECENCY_GAIN = 2.0
"""How much larger than the mean itself its share in the query is. Validation recall@10 on ml-latest-small at gains of
0, 1, 2 and 3 was 0.1149, 0.1174, 0.1194 and 0.1198, one seed each."""


_TINY = np.finfo(np.float32).tiny


class RecencyMean(keras.layers.Layer):
    """A mean of a context's embeddings in which the last movies weigh most.

    Maps embeddings float32 `[batch, length, dim]` and the mask bool `[batch, length]` of what is a movie to float32
    `[batch, dim]`. A movie's weight depends on its distance from the end alone, and is learned.
    """

    def __init__(self, max_context_length: int) -> None:
        super().__init__(name="recency_mean")
        distance = tf.range(max_context_length, dtype=tf.float32)
        self.log_weight = self.add_weight(
            name="log_weight",
            shape=[max_context_length],
            initializer=lambda shape, dtype: tf.cast(-_RECENCY_DECAY * distance, dtype),
        )

    def call(self, embedded: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Return one mean a row; zeros for a row without a movie."""
        movies = tf.cast(mask, embedded.dtype)
        # Contexts have no gaps, so that what follows a place is its distance from the end.
        distance = tf.cast(tf.cumsum(movies, axis=1, exclusive=True, reverse=True), tf.int32)
        weight = movies * tf.exp(tf.gather(self.log_weight, distance))
        weight = tf.math.divide_no_nan(weight, tf.reduce_sum(weight, axis=1, keepdims=True))
        return tf.einsum("bl,bld->bd", weight, embedded)

    def along(self, embedded: tf.Tensor) -> tf.Tensor:
        """Return the mean at each place of a run of movies, over its movie and those before it that a context holds.

        Parameters
        ----------
        embedded
            float32 `[batch, length, dim]`, oldest first.

        Returns
        -------
        tf.Tensor
            float32 `[batch, length, dim]`; no place depends on a later one.
        """
        place = tf.range(tf.shape(embedded)[1])
        distance = place[:, tf.newaxis] - place
        is_read = (distance >= 0) & (distance < self.log_weight.shape[0])
        weight = tf.exp(tf.gather(self.log_weight, tf.where(is_read, distance, 0))) * tf.cast(is_read, embedded.dtype)
        weight /= tf.reduce_sum(weight, axis=1, keepdims=True)
        return tf.einsum("ts,bsd->btd", weight, embedded)


class QueryTower(keras.Model):
    """A GRU over the embeddings of the movies watched so far, with a short cut past it.

    The short cut, a recency-weighted mean of the same embeddings, tells what the movies are about; the GRU adds
    their order.

    Maps context_movie_index int `[batch, length]` to float32 `[batch, embedding_dim]`, or
    `[batch, embedding_dim + 1]` with a trailing one, which meets the candidates' bias in the dot product. Where it
    reads histories they are of any length, and the mean is over the last `max_context_length` movies.
    """

    def __init__(self, table: keras.layers.Embedding, max_context_length: int, settings: ModelSettings) -> None:
        super().__init__(name="query_tower")
        self._settings = settings
        self._table = table
        # The same entries at all places of a context, as Y. Gal and Z. Ghahramani have it (arXiv:1512.05287); random
        # numbers for each place would cost as much as two steps of the GRU.
        self._context_dropout = keras.layers.Dropout(settings.dropout, noise_shape=(None, 1, None))
        self._dropout = keras.layers.Dropout(settings.dropout)
        # Contexts are short and of one length: unrolled, the steps need no loop in the graph.
        self._gru = keras.layers.GRU(settings.gru_units or settings.embedding_dim, unroll=True)
        # Without a bias: a query without a movie has to stay zero, so that popularity alone answers it.
        self._of_state = keras.layers.Dense(settings.embedding_dim, use_bias=False) if settings.gru_units else None
        self._recency_mean = RecencyMean(max_context_length) if settings.recency_mean else None
        self._max_context_length = max_context_length
        if settings.reads == "history":
            # Their variables are read without the layers being called.
            table(tf.zeros([1], tf.int32))
            self._gru.build((None, None, settings.embedding_dim))

    def call(self, context_movie_index: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return query embeddings, one a row."""
        if self._settings.reads == "history":
            runs = tf.pad(context_movie_index, [[0, 0], [0, 1]], constant_values=NO_MOVIE)
            return self.at(runs, last_places(runs))
        embedded = self._table(context_movie_index)
        read_index, read = context_movie_index, embedded
        if self._settings.gru_reads < context_movie_index.shape[1]:
            read_index = _last_movies(context_movie_index, self._settings.gru_reads)
            read = self._table(read_index)
        mask = tf.not_equal(read_index, NO_MOVIE) if self._settings.mask_padding else None
        state = self._gru(self._context_dropout(read, training=training), mask=mask, training=training)
        if self._of_state is not None:
            state = self._of_state(state)
        if self._recency_mean is not None:
            state += _RECENCY_GAIN * self._recency_mean(embedded, tf.not_equal(context_movie_index, NO_MOVIE))
        return self._finished(state, training)

    def along(self, movie_index: tf.Tensor, places: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return queries at places of runs of movies, each read once from its beginning.

        A query has read its movie and all before it, the GRU from the run's beginning and the recency mean as far as a
        context reaches. At the place of a context's last movie it is what `call` returns for the context, if the run
        begins where the context does.

        Parameters
        ----------
        movie_index
            int `[batch, length]`, post-padded.
        places
            int `[num_queries, 2]`: row and column of a movie, not of a pad.
        training
            Whether dropout applies.

        Returns
        -------
        tf.Tensor
            float32 `[num_queries, dim]`, of the width that `call` has.
        """
        embedded = self._table(movie_index)
        read = tf.transpose(self._context_dropout(embedded, training=training), [1, 0, 2])
        state = tf.gather_nd(states_along(self._gru.cell, read), tf.reverse(places, [1]))
        if self._of_state is not None:
            state = self._of_state(state)
        if self._recency_mean is not None:
            state += _RECENCY_GAIN * tf.gather_nd(self._recency_mean.along(embedded), places)
        return self._finished(state, training)

    def at(self, movie_index: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Return what `along` does, for runs of any length, and not to be trained by.

        The recency mean reads as far as it has weights, also where a run is longer than those of training.
        """
        state = states_at(self._gru.cell, self._table.embeddings, movie_index, places)
        if self._of_state is not None:
            state = self._of_state(state)
        if self._recency_mean is not None:
            last = movies_up_to(movie_index, places, self._max_context_length)
            state += _RECENCY_GAIN * self._recency_mean(self._table(last), tf.not_equal(last, NO_MOVIE))
        return self._finished(state, training=False)

    def _finished(self, state: tf.Tensor, training: bool | None) -> tf.Tensor:
        state = self._dropout(state, training=training)
        if not self._settings.item_bias:
            return state
        return tf.concat([state, tf.ones_like(state[:, :1])], axis=1)

    def by_name(self) -> dict[str, tf.Variable]:
        """Return all variables, by names that an export keeps."""
        cell = self._gru.cell
        found = {
            EMBEDDING: self._table.embeddings,
            "gru_kernel": cell.kernel,
            "gru_recurrent_kernel": cell.recurrent_kernel,
            "gru_bias": cell.bias,
        }
        if self._of_state is not None:
            found["state_kernel"] = self._of_state.kernel
        if self._recency_mean is not None:
            found["recency_log_weight"] = self._recency_mean.log_weight
        return found


def _last_movies(context_movie_index: tf.Tensor, count: int) -> tf.Tensor:
    """Return the last movies of each context.

    Parameters
    ----------
    context_movie_index
        int `[batch, length]`.
    count
        How many movies to take, at most `length`.

    Returns
    -------
    tf.Tensor
        int `[batch, count]`, oldest first; contexts with fewer movies are filled up at the beginning.
    """
    place = tf.where(tf.not_equal(context_movie_index, NO_MOVIE), tf.range(tf.shape(context_movie_index)[1]), -1)
    last = tf.reverse(tf.math.top_k(place, count).values, axis=[1])
    movies = tf.gather(context_movie_index, tf.maximum(last, 0), batch_dims=1)
    return tf.where(last >= 0, movies, NO_MOVIE)


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

    def by_index(self) -> tf.Tensor:
        """Return all candidates, float32 `[num_movies + 1, dim]`; row 0 stands for no movie."""
        embedded = self._table.embeddings
        return embedded if self._bias is None else tf.concat([embedded, self._bias.embeddings], axis=1)

    def catalogue(self) -> tf.Tensor:
        """Return all candidates, float32 `[num_movies, dim]`; row c is the movie of index c + 1."""
        return self.by_index()[1:]

    def assign(self, catalogue: np.ndarray) -> None:
        """Set all candidates, float32 `[num_movies, dim]` as `catalogue` gives them; no movie is left as it is."""
        dim = self._table.output_dim
        self._table.embeddings[1:].assign(catalogue[:, :dim])
        if self._bias is not None:
            self._bias.embeddings[1:].assign(catalogue[:, dim:])


class NextMovieModel(tfrs.Model):
    """Retrieval of the next movie by the dot product of two towers.

    Parameters
    ----------
    num_movies
        Size of the vocabulary.
    max_context_length
        Length of the contexts; where the model reads histories, how far back their recency mean goes.
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
        self.reads_histories = settings.reads == "history"
        self.max_context_length = max_context_length
        table = self._new_table("movie_embedding", num_movies, settings, initial_embeddings)
        candidate_table = (
            table
            if settings.tied_tables
            else self._new_table("candidate_embedding", num_movies, settings, initial_embeddings)
        )
        self.query_tower = QueryTower(table, max_context_length, settings)
        self.candidate_tower = CandidateTower(candidate_table, settings)
        # Keras begins a model's metrics anew each epoch.
        self._mean_loss = keras.metrics.Mean(name="loss")
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

    def train_step(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Take one step, as `tfrs.Model` does, and return its losses, but for `loss` the mean since the epoch began."""
        step = super().train_step
        if self.task is None:
            # There is no Python control flow to rewrite, and AutoGraph would spend seconds on Keras's own code.
            step = tf.autograph.experimental.do_not_convert(step)
        losses = step(inputs)
        self._mean_loss.update_state(losses["loss"])
        return {**losses, "loss": self._mean_loss.result()}

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
        return tf.reduce_mean(catalogue_loss(query, self.candidate_tower.by_index(), context, label))


def weights_of(model: NextMovieModel) -> dict[str, np.ndarray]:
    """Return copies of a model's weights by name: those of the query tower, and the candidates."""
    found = {name: variable.numpy() for name, variable in model.query_tower.by_name().items()}
    return {**found, CANDIDATES: model.candidate_tower.catalogue().numpy()}


def assign_weights(model: NextMovieModel, weights: Mapping[str, np.ndarray]) -> None:
    """Set a model's weights to those that `weights_of` gave of a model of the same shapes."""
    for name, variable in model.query_tower.by_name().items():
        variable.assign(weights[name])
    model.candidate_tower.assign(weights[CANDIDATES])


def catalogue_loss(query: tf.Tensor, candidates: tf.Tensor, context: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Return the cross-entropy over the catalogue without what serving leaves out: the context's own movies.

    With them, training would mostly lower the scores of movies that are never recommended: the context's own, which
    its mean is closest to.

    Parameters
    ----------
    query
        float32 `[batch, dim]`.
    candidates
        float32 `[num_movies + 1, dim]`; row 0 stands for no movie and counts for nothing.
    context
        int `[batch, length]`, 0 standing for no movie.
    label
        int `[batch]`. A label that its own context holds stays in: a loss without it would be infinite.

    Returns
    -------
    tf.Tensor
        float32 `[batch]`.
    """
    excluded = tf.where(context == label[:, tf.newaxis], NO_MOVIE, context)
    # Row 0 goes for all, also for contexts without padding.
    excluded = tf.pad(excluded, [[0, 0], [0, 1]], constant_values=NO_MOVIE)
    return _cross_entropy(query, candidates, label, excluded)


def loss_without(query: tf.Tensor, candidates: tf.Tensor, left_out: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Return `catalogue_loss` where what is left out is bool `[batch, num_movies + 1]`, row 0 of candidates with it."""
    left_out &= tf.range(tf.shape(candidates)[0]) != tf.cast(label, tf.int32)[:, tf.newaxis]
    return _cross_entropy(query, candidates, label, left_out)


@tf.custom_gradient
def _cross_entropy(
    query: tf.Tensor, candidates: tf.Tensor, label: tf.Tensor, excluded: tf.Tensor
) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor, None, None]]]:
    """Return -log softmax(query @ candidates.T)[label] over all candidates but those left out, float32 `[batch]`.

    These are given by their rows, int `[batch, any number]`, or as bool `[batch, num_candidates]`.
    With p for the softmax, the logits' gradient is p with 1 taken from p[label]; it is never made, but written out in
    the two products with it. For 1,024 windows and 3,787 movies of width 64 that took 11 ms on two cores, 9 of them for
    the three products, in place of 16 with the logits' gradient in memory.
    """
    logits = tf.matmul(query, candidates, transpose_b=True)
    if excluded.dtype == tf.bool:
        logits = tf.where(excluded, logits.dtype.min, logits)
    else:
        row = tf.broadcast_to(tf.range(tf.shape(excluded)[0])[:, tf.newaxis], tf.shape(excluded))
        logits = tf.tensor_scatter_nd_update(
            logits, tf.stack([row, excluded], axis=-1), tf.fill(tf.shape(excluded), logits.dtype.min)
        )
    probability = tf.nn.softmax(logits)
    # So small a probability has become zero; the gradient is as it would be.
    of_label = tf.maximum(tf.gather(probability, label, batch_dims=1), _TINY)

    def gradient(of_loss: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, None, None]:
        of_loss = of_loss[:, tf.newaxis]
        of_query = of_loss * (tf.matmul(probability, candidates) - tf.gather(candidates, label))
        weighted = of_loss * query
        # The product's transpose is the faster one, by a third, and is small.
        of_candidates = tf.transpose(tf.matmul(weighted, probability, transpose_a=True))
        return of_query, tf.tensor_scatter_nd_sub(of_candidates, label[:, tf.newaxis], weighted), None, None

    return -tf.math.log(of_label), gradient
