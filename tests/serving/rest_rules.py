"""TensorFlow Serving's REST rules for `:predict`, row format, as far as a model with named inputs needs them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def answer(model: Any, payload: dict[str, Any]) -> dict[str, Any]:
    """Answer the JSON body of a `:predict` request from a loaded SavedModel.

    `instances` holds one object for each row, with the signature's inputs by name; a single input may also stand
    bare. `predictions` holds one object for each row, with the outputs by name.
    """
    signature = model.signatures[payload.get("signature_name", "serving_default")]
    inputs = signature.structured_input_signature[1]
    rows = payload["instances"]
    named = [row if isinstance(row, dict) else {next(iter(inputs)): row} for row in rows]
    tensors = {name: tf.constant([row[name] for row in named], spec.dtype) for name, spec in inputs.items()}
    outputs = {name: value.numpy().tolist() for name, value in signature(**tensors).items()}
    return {"predictions": [{name: values[row] for name, values in outputs.items()} for row in range(len(rows))]}
