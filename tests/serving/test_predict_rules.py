"""The REST rules of `:predict`, against TensorFlow Serving's own description of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from synthetic_model import export_untrained_model

from serving.http.predict import BadRequestError, answer

pytestmark = pytest.mark.slow

MOVIES = 120
MAX_ROWS = 8


@pytest.fixture(scope="module")
def signatures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tf.saved_model.load(str(export_untrained_model(tmp_path_factory.mktemp("model") / "1", MOVIES))).signatures


class Echo(tf.Module):
    """Gives texts, flags and numbers back."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, name="text"),
            tf.TensorSpec([None], tf.bool, name="flag"),
        ]
    )
    def both(self, text: tf.Tensor, flag: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"text": text, "flag": flag}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="number")])
    def one(self, number: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"number": number}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="number")])
    def real(self, number: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"number": number}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = str(tmp_path_factory.mktemp("echo"))
    module = Echo()
    tf.saved_model.save(
        module, folder, signatures={"serving_default": module.both, "one": module.one, "real": module.real}
    )
    return tf.saved_model.load(folder).signatures


def ask(signatures: Any, body: Any) -> Any:
    return json.loads(answer(signatures, body if isinstance(body, bytes) else json.dumps(body).encode(), MAX_ROWS))


@given(st.lists(st.lists(st.integers(0, MOVIES + 3), min_size=3, max_size=3), min_size=1, max_size=MAX_ROWS))
def test_rows_are_answered_as_the_signature_answers_them_in_every_form(signatures: Any, histories: Any) -> None:
    expected = signatures["serving_default"](context_movie_id=tf.constant(histories, tf.int64))
    rows = ask(signatures, {"instances": [{"context_movie_id": history} for history in histories]})["predictions"]
    assert [row["movie_id"] for row in rows] == expected["movie_id"].numpy().tolist()
    np.testing.assert_array_equal(np.array([row["score"] for row in rows], np.float32), expected["score"].numpy())
    assert ask(signatures, {"instances": histories})["predictions"] == rows
    outputs = ask(signatures, {"inputs": {"context_movie_id": histories}})["outputs"]
    assert outputs == {name: [row[name] for row in rows] for name in ("movie_id", "score")}
    assert ask(signatures, {"inputs": histories})["outputs"] == outputs


def test_a_signature_is_asked_by_its_name(signatures: Any) -> None:
    [row] = ask(signatures, {"signature_name": "similar", "instances": [{"movie_id": 7}]})["predictions"]
    assert 7 not in row["movie_id"]
    assert len(row["movie_id"]) == 100


def test_texts_and_bytes_come_back_as_they_went_and_bytes_that_are_no_text_in_base64(echo: Any) -> None:
    raw = base64.b64encode(b"\xff\x00").decode()
    row = {"text": ["é", {"b64": base64.b64encode(b"abc").decode()}, {"b64": raw}], "flag": True}
    assert ask(echo, {"instances": [row]}) == {"predictions": [{"text": ["é", "abc", {"b64": raw}], "flag": True}]}


def test_a_single_output_stands_bare(echo: Any) -> None:
    assert ask(echo, {"signature_name": "one", "instances": [3, 4]}) == {"predictions": [3, 4]}
    assert ask(echo, {"signature_name": "one", "inputs": {"number": [3, 4]}}) == {"outputs": [3, 4]}


def test_no_rows_in_columns_are_no_answers(signatures: Any) -> None:
    assert ask(signatures, {"inputs": []})["outputs"] == {"movie_id": [], "score": []}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON: "),
        (b'{"instances": [[1]]', "the body is not JSON: "),
        (b'{"instances": [[NaN]]}', "the body is not JSON: "),
        (b"\xff", "the body is not JSON: "),
        ([[1]], "the body is not an object with instances or inputs"),
        ({}, "write either instances, a list of rows, or inputs, a list for each input"),
        ({"instances": [[1]], "inputs": [[1]]}, "write either instances"),
        ({"instances": []}, "instances is not a list of rows"),
        ({"instances": "all"}, "instances is not a list of rows"),
        ({"instances": [[1], [1, 2]]}, "the rows of context_movie_id have different lengths: fill them up at the end"),
        ({"instances": [1]}, "context_movie_id is not a list of lists"),
        ({"instances": [[1.5]]}, "context_movie_id holds 1.5, which is no whole number"),
        ({"instances": [["1"]]}, 'context_movie_id holds "1", which is no whole number'),
        ({"instances": [[True]]}, "context_movie_id holds true, which is no whole number"),
        ({"instances": [[None]]}, "context_movie_id holds null, which is no whole number"),
        ({"instances": [[[1]]]}, "context_movie_id holds [1], which is no whole number"),
        ({"instances": [[2**63]]}, "context_movie_id holds a number of more than 64 bits"),
        ({"instances": [{"history": [1]}]}, "each row of instances is an object with context_movie_id"),
        ({"instances": [{"context_movie_id": [1], "k": 3}]}, "each row of instances is an object with"),
        ({"inputs": {"history": [[1]]}}, "inputs is an object with context_movie_id"),
        ({"inputs": {"context_movie_id": "1"}}, "context_movie_id is not a list of lists"),
        (
            {"instances": [[1]], "signature_name": "best"},
            "there is no signature 'best': there are evaluate, ",
        ),
        ({"instances": [[1]], "signature_name": 7}, "there is no signature 7: there are "),
        ({"instances": [[1]] * (MAX_ROWS + 1)}, "at most 8 rows may be asked at once"),
        ({"instances": [[1] * 10_001]}, "a row of context_movie_id holds more than 10,000 values"),
        ({"signature_name": "evaluate", "instances": ["no example"]}, "the signature evaluate can't be asked so: "),
    ],
)
def test_what_can_not_be_answered_is_refused_with_its_reason(signatures: Any, body: Any, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(signatures, body)
    assert str(caught.value).startswith(reason)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"instances": [{"text": ["a"], "flag": 1}]}, "flag holds 1, which is neither true nor false"),
        ({"instances": [{"text": [1], "flag": True}]}, "text holds 1, which is no text"),
        ({"instances": [{"text": [{"b64": "?"}], "flag": True}]}, "text holds b64 that is none"),
        ({"inputs": {"text": [["a"], ["b"]], "flag": [True]}}, "the inputs have different numbers of rows"),
        ({"signature_name": "one", "inputs": {"number": 3}}, "number is not a list"),
        (
            {"signature_name": "real", "instances": [1.5]},
            "number is of type float32, which can't be asked in JSON here",
        ),
    ],
)
def test_other_types_have_their_reasons(echo: Any, body: Any, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(echo, body)
    assert str(caught.value) == reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["context_movie_id", "b64", "x"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name"]), json_values))
def test_any_json_is_answered_or_refused(signatures: Any, body: Any) -> None:
    try:
        answered = ask(signatures, body)
    except BadRequestError as error:
        assert str(error)
    else:
        assert answered.keys() <= {"predictions", "outputs"}


def test_kserves_rules_give_the_same(signatures: Any, tmp_path: Path) -> None:
    class Model:
        pass

    from rest_rules import answer as plain_answer

    model = Model()
    model.signatures = signatures  # type: ignore[attr-defined]
    body = {"instances": [{"context_movie_id": [3, 5, 0]}, {"context_movie_id": [0, 0, 0]}]}
    for mine, plain in zip(ask(signatures, body)["predictions"], plain_answer(model, body)["predictions"], strict=True):
        assert mine["movie_id"] == plain["movie_id"]
        np.testing.assert_array_equal(np.float32(mine["score"]), np.float32(plain["score"]))
