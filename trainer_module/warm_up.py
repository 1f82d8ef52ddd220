"""Requests that TensorFlow Serving replays when it loads a version, before it answers anybody.

The first request to a signature pays for what TensorFlow does once: with these in the export, nobody waits for it. The
file's place and form are TensorFlow Serving's (`tensorflow_serving/g3doc/saved_model_warmup.md`): a TFRecord of
`PredictionLog`, with at most a thousand records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from data.features import CONTEXT_MOVIE_ID
from data.movie_ids import MovieId
from serving.filters import SIGNATURE as FILTERED
from serving.filters import Filters, filter_inputs, rectangle

_BATCH = 32
"""Histories in the largest request."""


def write_warm_up(file: str, histories: Sequence[Sequence[MovieId]], known: MovieId, pad: MovieId) -> None:
    """Write requests to every signature that callers use, one history at a time and many at once.

    Parameters
    ----------
    file
        Where to write, a path that TensorFlow's file layer knows.
    histories
        At least one.
    known
        A movie that the model knows.
    pad
        What stands for no movie; a text where ids are texts.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(file) as writer:
        for signature, inputs in _requests(histories, known, pad):
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def _requests(
    histories: Sequence[Sequence[MovieId]], known: MovieId, pad: MovieId
) -> Sequence[tuple[str, Mapping[str, NDArray[Any]]]]:
    """Return signatures and what they are asked."""
    id_type = object if isinstance(pad, str) else np.int64
    # A row of its own length each, and a rectangle of all: a request's rows are equally long.
    asked = [rectangle([history], pad, id_type) for history in histories]
    batch = rectangle([histories[row % len(histories)] for row in range(_BATCH)], pad, id_type)
    found: list[tuple[str, Mapping[str, NDArray[Any]]]] = []
    for signature in ("serving_default", "include_seen"):
        found += [(signature, {CONTEXT_MOVIE_ID: history}) for history in asked]
        found.append((signature, {CONTEXT_MOVIE_ID: batch}))
    for rows in (asked[0], batch):
        inputs = filter_inputs([Filters(deny=(known,))] * len(rows), [False] * len(rows), pad)
        found.append((FILTERED, {CONTEXT_MOVIE_ID: rows, **inputs}))
    return [*found, ("similar", {"movie_id": np.array([known], id_type)})]
