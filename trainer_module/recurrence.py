"""A GRU along runs of movies, whose gradient is written out: half the time of the one that TensorFlow derives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras as keras


def states_along(cell: keras.layers.GRUCell, inputs: tf.Tensor) -> tf.Tensor:
    """Return a GRU's state behind each place of runs, as Keras's layer with `return_sequences` does.

    Parameters
    ----------
    cell
        Built, with `reset_after` and Keras's own activations.
    inputs
        float32 `[length, batch, dim]`, of a fixed length. Time comes first, so that what a step reads lies together.

    Returns
    -------
    tf.Tensor
        float32 `[length, batch, units]`.
    """
    shape = [inputs.shape[0], tf.shape(inputs)[1], cell.units]
    flat = tf.reshape(inputs, [-1, inputs.shape[2]])
    of_inputs, of_state = (tf.split(bias, 3) for bias in tf.unstack(cell.bias))
    # The new state's second bias alone has to wait: the reset gate weighs it.
    biases = of_inputs[0] + of_state[0], of_inputs[1] + of_state[1], of_inputs[2]
    # What does not depend on the state is one product over all places; update, reset and new state apart, since cutting
    # them out of one would copy them.
    kernels = tf.split(cell.kernel, 3, axis=1)
    gates = [tf.nn.bias_add(tf.matmul(flat, kernel), bias) for kernel, bias in zip(kernels, biases, strict=True)]
    kernels = tf.split(cell.recurrent_kernel.value(), 3, axis=1)
    return _recurrence(*(tf.reshape(gate, shape) for gate in gates), *kernels, of_state[2])


@tf.custom_gradient
def _recurrence(
    update_in: tf.Tensor,
    reset_in: tf.Tensor,
    new_in: tf.Tensor,
    to_update: tf.Tensor,
    to_reset: tf.Tensor,
    to_new: tf.Tensor,
    bias: tf.Tensor,
) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, ...]]]:
    """Return the states of what inputs add to the gates, `[length, batch, units]` each.

    As TensorFlow derives a kernel's gradient it is a product for each place and their sum; here it is one product.
    """
    state = tf.zeros_like(update_in[0])
    before, kept = [], []
    for of_update, of_reset, of_new in zip(*map(tf.unstack, (update_in, reset_in, new_in)), strict=True):
        before.append(state)
        update = tf.sigmoid(of_update + tf.matmul(state, to_update))
        reset = tf.sigmoid(of_reset + tf.matmul(state, to_reset))
        of_state = tf.nn.bias_add(tf.matmul(state, to_new), bias)
        new = tf.tanh(of_new + reset * of_state)
        change = state - new
        state = new + update * change
        kept.append((update, reset, of_state, new, change))

    def gradient(of_states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        updates: list[tf.Tensor] = []
        resets: list[tf.Tensor] = []
        news: list[tf.Tensor] = []
        products: list[tf.Tensor] = []
        of_later = tf.zeros_like(state)
        for of_here, (update, reset, of_state, new, change) in zip(
            reversed(tf.unstack(of_states)), reversed(kept), strict=True
        ):
            of_here += of_later
            passed_on = of_here * update
            news.append(tf.raw_ops.TanhGrad(y=new, dy=of_here - passed_on))
            updates.append(tf.raw_ops.SigmoidGrad(y=update, dy=of_here * change))
            resets.append(tf.raw_ops.SigmoidGrad(y=reset, dy=news[-1] * of_state))
            products.append(news[-1] * reset)
            into = ((updates, to_update), (resets, to_reset), (products, to_new))
            of_later = tf.add_n(
                [passed_on, *(tf.matmul(found[-1], kernel, transpose_b=True) for found, kernel in into)]
            )
        states = tf.concat(before, axis=0)

        def of_kernel(of_places: Sequence[tf.Tensor]) -> tf.Tensor:
            return tf.matmul(states, tf.concat(of_places[::-1], axis=0), transpose_a=True)

        return (
            *(tf.stack(of_places[::-1]) for of_places in (updates, resets, news)),
            *(of_kernel(of_places) for of_places in (updates, resets, products)),
            tf.reduce_sum(tf.add_n(products), axis=0),
        )

    return tf.stack([*before[1:], state]), gradient
