from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import example_reading
from components.example_reading import fixed_lengths, read_batches, read_fixed_lengths

SCHEMA = text_format.Parse(
    """
    feature { name: "ids" type: INT presence { min_fraction: 1 } shape { dim { size: 2 } } }
    feature { name: "stars" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 2 } } }
    feature { name: "genre" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
    """,
    schema_pb2.Schema(),
)

FEATURES = {
    int: lambda values: tf.train.Feature(int64_list=tf.train.Int64List(value=values)),
    float: lambda values: tf.train.Feature(float_list=tf.train.FloatList(value=values)),
    bytes: lambda values: tf.train.Feature(bytes_list=tf.train.BytesList(value=values)),
}


def example(**changes: list | None) -> bytes:
    """Return an example as the schema says, but for the changes; None leaves a feature out."""
    values = {"ids": [7, 9], "stars": [4.5, 3.0], "genre": [b"War"], **changes}
    features = {name: FEATURES[type(value[0])](value) for name, value in values.items() if value}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(folder: Path, examples: Sequence[bytes]) -> str:
    file = str(folder / "examples.gz")
    with tf.io.TFRecordWriter(file, "GZIP") as writer:
        for one in examples:
            writer.write(one)
    return file


def content(batches: Sequence[pa.RecordBatch]) -> list[dict[str, list]]:
    return [dict(sorted(row.items())) for batch in batches for row in batch.to_pylist()]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example_reading, "BATCH", 4)
    monkeypatch.setattr(example_reading, "_LOOKED_AT", 2)


def test_examples_that_are_as_the_schema_says_come_as_the_decoder_gives_them(tmp_path: Path) -> None:
    file = write(tmp_path, [example(ids=[row, row + 1]) for row in range(10)])

    quick, decoded = list(read_fixed_lengths(file, fixed_lengths(SCHEMA))), list(read_batches(file))

    assert [batch.num_rows for batch in quick] == [4, 4, 2]
    assert content(quick) == content(decoded)
    for name in ("ids", "stars", "genre"):
        assert quick[0].column(name).type == decoded[0].column(name).type


def test_the_decoder_is_left_alone_while_examples_are_as_they_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, [example()] * 10)
    monkeypatch.setattr(example_reading, "read_batches", lambda file: pytest.fail("decoded"))

    assert sum(batch.num_rows for batch in read_fixed_lengths(file, fixed_lengths(SCHEMA))) == 10


@pytest.mark.parametrize("odd", [{"genre": None}, {"ids": [7]}, {"ids": [7, 8, 9]}], ids=["missing", "short", "long"])
@pytest.mark.parametrize("row", [0, 5, 9])
def test_an_example_that_is_not_as_the_schema_says_is_shown_as_it_is(tmp_path: Path, odd: dict, row: int) -> None:
    examples = [example(ids=[number, 1]) for number in range(10)]
    examples[row] = example(**odd)
    file = write(tmp_path, examples)

    assert content(read_fixed_lengths(file, fixed_lengths(SCHEMA))) == content(read_batches(file))


def test_values_of_another_type_are_shown_as_they_are(tmp_path: Path) -> None:
    file = write(tmp_path, [example(ids=[7.5, 9.0])] * 6)

    assert content(read_fixed_lengths(file, fixed_lengths(SCHEMA))) == content(read_batches(file))


def test_a_feature_that_the_schema_does_not_know_is_shown_unless_only_its_own_are_wanted(tmp_path: Path) -> None:
    file = write(tmp_path, [example(extra=[1])] * 6)

    shown = content(read_fixed_lengths(file, fixed_lengths(SCHEMA)))
    kept = content(read_fixed_lengths(file, fixed_lengths(SCHEMA, ["ids"]), only=True))

    assert shown == [{"extra": [1], "genre": [b"War"], "ids": [7, 9], "stars": [4.5, 3.0]}] * 6
    assert kept == [{"ids": [7, 9]}] * 6


@pytest.mark.parametrize("change", ["optional", "of any length"])
def test_a_schema_without_fixed_lengths_has_examples_decoded(tmp_path: Path, change: str) -> None:
    schema = schema_pb2.Schema()
    schema.CopyFrom(SCHEMA)
    if change == "optional":
        schema.feature[0].presence.min_fraction = 0.5
    else:
        schema.feature[0].ClearField("shape")
    file = write(tmp_path, [example(), example(ids=None)])

    assert fixed_lengths(schema) is None
    assert content(read_fixed_lengths(file, None)) == content(read_batches(file))
