"""Warm-up requests: TensorFlow Serving's own messages, and a fresh process answers each of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import export_untrained_model
from tensorflow_serving.apis import prediction_log_pb2

from serving.export_record import WARM_UP_FILE
from trainer_module.warm_up import write_warm_up

pytestmark = pytest.mark.slow

MOST = 1_000
"""Records that TensorFlow Serving takes."""

REPLAY = """
import sys
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
model = tf.saved_model.load(sys.argv[1])
for record in tf.data.TFRecordDataset(sys.argv[1] + "/assets.extra/tf_serving_warmup_requests").as_numpy_iterator():
    request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
    signature = model.signatures[request.model_spec.signature_name]
    inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
    answer = signature(**inputs)
    print(request.model_spec.signature_name, *answer["movie_id"].shape)
"""


def requests_in(file: str) -> list[Any]:
    records = tf.data.TFRecordDataset(file).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]


def test_a_fresh_process_answers_every_request_of_an_export(tmp_path: Path) -> None:
    model = export_untrained_model(tmp_path / "1", num_movies=120)
    done = subprocess.run([sys.executable, "-c", REPLAY, str(model)], capture_output=True, encoding="utf-8", check=True)
    answered = done.stdout.splitlines()
    canaries = json.loads((model / "assets.extra" / "canaries.json").read_text())
    assert answered.count("serving_default 1 100") == len(canaries)
    for line in ("serving_default 32 100", "include_seen 32 100", "filtered 1 100", "filtered 32 100", "similar 1 100"):
        assert line in answered
    assert len(answered) <= MOST


@pytest.mark.parametrize(("histories", "known", "pad"), [([[7, 9], []], 7, 0), ([["a", ""], []], "a", "<pad>")])
def test_requests_bear_ids_of_the_data_sets_kind_and_pads_where_a_history_ends(
    tmp_path: Path, histories: list[list[Any]], known: Any, pad: Any
) -> None:
    file = tmp_path / WARM_UP_FILE
    file.parent.mkdir()
    write_warm_up(str(file), histories, known, pad)
    found = requests_in(str(file))

    def as_bytes(value: Any) -> Any:
        return value.encode() if isinstance(value, str) else value

    first, empty, batch = (tf.make_ndarray(request.inputs["context_movie_id"]) for request in found[:3])
    assert first.tolist() == [[as_bytes(movie_id) for movie_id in histories[0]]]
    assert empty.tolist() == [[as_bytes(pad)]]
    assert batch.shape == (32, 2)
    assert batch[1].tolist() == [as_bytes(pad)] * 2
    assert first.dtype == (np.dtype(object) if isinstance(pad, str) else np.dtype(np.int64))
    assert tf.make_ndarray(found[-1].inputs["movie_id"]).tolist() == [as_bytes(known)]
