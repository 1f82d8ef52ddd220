"""A GRU along runs of movies, whose gradient is written out: half the time of the one that TensorFlow derives."""

from __future__ import annotations

from collections.abc import Callable

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
    length, batch, dim = inputs.shape[0], tf.shape(inputs)[1], inputs.shape[2]
    update_and_reset = 2 * cell.units
    of_inputs, of_state = tf.unstack(cell.bias)
    # What does not depend on the state is one product over all places. The new state's second bias alone has to wait:
    # the reset gate weighs it.
    bias = of_inputs + tf.concat([of_state[:update_and_reset], tf.zeros([cell.units])], axis=0)
    gates = tf.nn.bias_add(tf.matmul(tf.reshape(inputs, [-1, dim]), cell.kernel), bias)
    gates = tf.reshape(gates, [length, batch, 3 * cell.units])
    return _recurrence(gates, cell.recurrent_kernel.value(), of_state[update_and_reset:])


@tf.custom_gradient
def _recurrence(
    gates: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]]:
    """Return the states `[length, batch, units]` of what the inputs add to the gates, `[length, batch, 3 * units]`.

    Derived by TensorFlow, the kernel's gradient is a product for each place and their sum; here it is one product.
    """
    length, units = gates.shape[0], kernel.shape[0]
    kernels = kernel[:, : 2 * units], kernel[:, 2 * units :]
    state = tf.zeros([tf.shape(gates)[1], units], gates.dtype)
    before, kept = [], []
    for gate in tf.unstack(gates):
        before.append(state)
        update, reset = tf.split(tf.sigmoid(gate[:, : 2 * units] + tf.matmul(state, kernels[0])), 2, axis=1)
        of_state = tf.nn.bias_add(tf.matmul(state, kernels[1]), bias)
        new = tf.tanh(gate[:, 2 * units :] + reset * of_state)
        change = state - new
        state = new + update * change
        kept.append((update, reset, of_state, new, change))

    def gradient(of_states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        of_gates: list[tf.Tensor] = []
        of_products: list[tf.Tensor] = []
        of_later = tf.zeros_like(state)
        for place in reversed(range(length)):
            update, reset, of_state, new, change = kept[place]
            here = of_states[place] + of_later
            passed_on = here * update
            of_new = tf.raw_ops.TanhGrad(y=new, dy=here - passed_on)
            of_update = tf.raw_ops.SigmoidGrad(y=update, dy=here * change)
            of_reset = tf.raw_ops.SigmoidGrad(y=reset, dy=of_new * of_state)
            of_gates.append(tf.concat([of_update, of_reset, of_new], axis=1))
            of_products.append(tf.concat([of_update, of_reset, of_new * reset], axis=1))
            of_later = passed_on + tf.matmul(of_products[-1], kernel, transpose_b=True)
        of_product = tf.concat(of_products[::-1], axis=0)
        of_kernel = tf.matmul(tf.concat(before, axis=0), of_product, transpose_a=True)
        return tf.stack(of_gates[::-1]), of_kernel, tf.reduce_sum(of_product[:, 2 * units :], axis=0)

    return tf.stack([*before[1:], state]), gradient
