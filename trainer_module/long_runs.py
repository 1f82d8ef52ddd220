"""Reading runs of movies of any length once, from their beginnings, for the answers that are asked for along them."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from data.movie_ids import NO_MOVIE

_COMPARED_FIRST = 4
"""Movies at their beginnings by which runs are put together that may be one user's."""


def states_at(cell: keras.layers.GRUCell, table: tf.Tensor, runs: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Return a GRU's state at places of runs, each run read once and as far as its last place.

    The runs lie in the order of their ends, so that a step has rows for those alone that aren't over: what it all costs
    goes by the movies that are read, and not by the longest run.

    Parameters
    ----------
    cell
        The GRU's, built.
    table
        float32 `[num_movies + 1, dim]`: what it reads of each movie.
    runs
        int `[num_runs, length]`, post-padded.
    places
        int `[num_places, 2]`: row and column, in any order, any number of them in a run.

    Returns
    -------
    tf.Tensor
        float32 `[num_places, units]`. No state depends on what follows its place, nor on another run.
    """
    places = tf.cast(places, tf.int32)
    row, column = places[:, 0], places[:, 1]
    ends = ends_of_runs(places, tf.shape(runs)[0])
    order = tf.argsort(ends, direction="DESCENDING")
    movies = tf.transpose(tf.gather(runs, order))
    steps = tf.reduce_max(ends)
    # For each step the runs that go on, and the places that it reaches.
    going_on = tf.searchsorted(-tf.gather(ends, order), -tf.range(steps))
    by_column = tf.argsort(column)
    reached = tf.searchsorted(tf.gather(column, by_column), tf.range(steps + 1))
    reached_row = tf.gather(tf.math.invert_permutation(order), tf.gather(row, by_column))
    of_inputs, of_state = tf.unstack(cell.bias)

    def read(step: tf.Tensor, state: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        state = state[: going_on[step]]
        embedded = tf.gather(table, movies[step, : going_on[step]])
        update_in, reset_in, new_in = tf.split(tf.matmul(embedded, cell.kernel) + of_inputs, 3, axis=1)
        update, reset, new = tf.split(tf.matmul(state, cell.recurrent_kernel) + of_state, 3, axis=1)
        update = tf.sigmoid(update_in + update)
        state = update * state + (1 - update) * tf.tanh(new_in + tf.sigmoid(reset_in + reset) * new)
        here = reached_row[reached[step] : reached[step + 1]]
        return step + 1, state, found.write(step, tf.gather(state, here))

    shape = tf.TensorShape([None, cell.units])
    found = tf.TensorArray(table.dtype, steps, element_shape=shape, infer_shape=False)
    begin = (tf.constant(0), tf.zeros([tf.shape(runs)[0], cell.units], table.dtype), found)
    invariants = (tf.TensorShape([]), shape, tf.TensorShape(None))
    *_, found = tf.while_loop(lambda step, *_: step < steps, read, begin, invariants)
    return tf.gather(found.concat(), tf.math.invert_permutation(by_column))


def ends_of_runs(places: tf.Tensor, num_runs: tf.Tensor) -> tf.Tensor:
    """Return how far runs are read, int32 `[num_runs]`: up to their last places, and those without one not at all."""
    return tf.maximum(0, tf.math.unsorted_segment_max(places[:, 1] + 1, places[:, 0], num_runs))


def movies_up_to(runs: tf.Tensor, places: tf.Tensor, length: int) -> tf.Tensor:
    """Return the last movies up to places of runs, int `[num_places, length]`, filled up at the beginning.

    Parameters
    ----------
    runs
        int `[num_runs, any length]`.
    places
        int32 `[num_places, 2]`: row and column.
    length
        How many movies.
    """
    padded = tf.pad(runs, [[0, 0], [length - 1, 0]], constant_values=NO_MOVIE)
    columns = places[:, 1:] + tf.range(length)
    rows = tf.broadcast_to(places[:, :1], tf.shape(columns))
    return tf.gather_nd(padded, tf.stack([rows, columns], axis=-1))


def last_places(runs: tf.Tensor) -> tf.Tensor:
    """Return where runs end, int32 `[num_runs, 2]`, each in a row that begins with the run: in its own or a longer one.

    Queries of one user are the beginnings of one timeline, and the longest of them is all that has to be read. A run
    without a movie ends in its first column.

    Parameters
    ----------
    runs
        int `[num_runs, length]`, post-padded, of one column at least.
    """
    num_runs = tf.shape(runs)[0]
    own = tf.range(num_runs)
    length = tf.reduce_sum(tf.cast(runs != NO_MOVIE, tf.int32), axis=1)
    _, group = tf.raw_ops.UniqueV2(x=runs[:, :_COMPARED_FIRST], axis=[0])
    longest = tf.math.unsorted_segment_max(length * num_runs + own, group, num_runs)
    other = tf.math.floormod(tf.gather(longest, group), num_runs)
    begins_so = tf.reduce_all((runs == NO_MOVIE) | (runs == tf.gather(runs, other)), axis=1)
    return tf.stack([tf.where(begins_so, other, own), tf.maximum(length - 1, 0)], axis=1)
