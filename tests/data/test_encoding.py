"""Serialised examples, read back with Python's protobufs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_helpers import parse_example
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data.examples.encoding import Ragged, encode_examples


@given(
    data=st.data(),
    num_examples=st.integers(1, 5),
    num_values=st.integers(1, 20),
)
def test_integers_floats_and_strings_come_back_as_they_were(data, num_examples: int, num_values: int):
    shape = (num_examples, num_values)
    integers = data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 2**63 - 1)))
    floats = data.draw(arrays.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False)))
    words = data.draw(arrays.arrays(object, shape, elements=st.text(max_size=30).filter(lambda word: "\0" not in word)))
    strings = np.char.encode(words.astype(str), "utf-8")

    serialised = encode_examples({"an integer": integers, "float": floats, "word": strings})

    assert len(serialised) == num_examples
    for row, example in enumerate(serialised):
        assert parse_example(example) == {
            "an integer": tuple(integers[row].tolist()),
            "float": tuple(floats[row].tolist()),
            "word": tuple(words[row].tolist()),
        }


def test_tensorflows_own_parser_reads_them():
    import tensorflow as tf

    [serialised] = encode_examples({"ids": np.array([[1, 300, 70_000]]), "genre": np.array([[b"Drama", b"UNK"]])})
    parsed = tf.io.parse_single_example(
        serialised,
        {"ids": tf.io.FixedLenFeature([3], tf.int64), "genre": tf.io.FixedLenFeature([2], tf.string)},
    )
    assert parsed["ids"].numpy().tolist() == [1, 300, 70_000]
    assert parsed["genre"].numpy().tolist() == [b"Drama", b"UNK"]


def test_the_bytes_are_those_of_the_wire_format():
    # Example{features{feature{key "a" value{int64_list{value: 1 value: 300}}}}}, worked out by hand.
    [serialised] = encode_examples({"a": np.array([[1, 300]])})
    assert serialised.hex(" ") == "0a 0e 0a 0c 0a 01 61 12 07 1a 05 0a 03 01 ac 02"


def test_bytes_do_not_depend_on_the_order_of_the_features_or_the_process():
    ids, stars = np.array([[1, 2], [3, 4]]), np.array([[0.5, 1.0], [2.0, 5.0]], dtype=np.float32)
    here = encode_examples({"ids": ids, "stars": stars})
    assert here == encode_examples({"stars": stars, "ids": ids})
    script = (
        "import numpy as np; from data.examples.encoding import encode_examples; print([example.hex() for example in "
        "encode_examples({'ids': np.array([[1, 2], [3, 4]]), "
        "'stars': np.array([[0.5, 1.0], [2.0, 5.0]], dtype=np.float32)})])"
    )
    root = Path(__file__).parents[2]
    there = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, encoding="utf-8", check=True)
    assert there.stdout.strip() == str([example.hex() for example in here])


def test_no_examples_give_no_bytes():
    assert encode_examples({"ids": np.empty((0, 3), dtype=np.int64)}) == []


def test_what_the_format_lacks_is_refused():
    with pytest.raises(TypeError, match="complex"):
        encode_examples({"x": np.array([[1j]])})
    with pytest.raises(ValueError, match="128 bytes"):
        encode_examples({"x": np.array([[b"x" * 128]])})


def test_ragged_integers_and_strings_come_back_one_list_for_each_example():
    lengths = np.array([2, 0, 3])
    serialised = encode_examples(
        {
            "ids": Ragged(np.array([1, 300, 7, 8, 2**40]), lengths),
            "small": Ragged(np.array([1, 2, 3, 4, 5]), lengths),
            "words": Ragged(np.array([b"a", b"", b"long", b"b", b"c"]), lengths),
            "one": np.array([[1], [2], [3]]),
        }
    )
    found = [parse_example(example) for example in serialised]
    assert [example["ids"] for example in found] == [(1, 300), (), (7, 8, 2**40)]
    assert [example["small"] for example in found] == [(1, 2), (), (3, 4, 5)]
    assert [example["words"] for example in found] == [("a", ""), (), ("long", "b", "c")]
