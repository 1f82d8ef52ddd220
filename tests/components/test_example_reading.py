from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingestion import example_reading
from components.ingestion.example_reading import fixed_lengths, read_batches, read_fixed_lengths
from data.beam_options import IN_PROCESS_ARGS

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


def write(folder: Path, examples: Sequence[bytes], name: str = "examples.gz") -> str:
    file = str(folder / name)
    with tf.io.TFRecordWriter(file, "GZIP") as writer:
        for one in examples:
            writer.write(one)
    return file


def content(batches: Sequence[pa.RecordBatch]) -> list[dict[str, list]]:
    return [dict(sorted(row.items())) for batch in batches for row in batch.to_pylist()]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example_reading, "BATCH", 4)


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


@pytest.mark.parametrize("row", [0, 2, 5, 9])
def test_a_single_example_with_a_feature_that_the_schema_does_not_know_is_shown(tmp_path: Path, row: int) -> None:
    examples = [example(ids=[number, 1]) for number in range(10)]
    examples[row] = example(ids=[row, 1], extra=[1])
    file = write(tmp_path, examples)

    shown = content(read_fixed_lengths(file, fixed_lengths(SCHEMA)))

    assert shown == content(read_batches(file))
    assert [number for number, one in enumerate(shown) if one.get("extra")] == [row]


def alone(**values: list) -> bytes:
    """Return an example of nothing but these features."""
    return example(**{"ids": None, "stars": None, "genre": None, **values})


ODD = st.sampled_from(
    [
        example(extra=[1]),
        example(extra=[1, 2, 3]),
        example(**{"": [5]}),
        example(genre=None),
        example(genre=None, extra=[4]),
        example(ids=[7]),
        example(stars=[1.0, 2.0, 3.0]),
        alone(extra=[2]),
        b"",
        # A message may lie in several parts: what the last one says stands.
        example() + alone(extra=[3]),
        alone(extra=[3]) + example(),
        alone(genre=[b"Drama"]) + example(genre=None),
        alone(ids=[1, 2], extra=[3]) + example(genre=None) + alone(genre=[b"Drama"]),
        example() + example(),
    ]
)


@given(st.lists(st.one_of(st.just(example()), ODD), min_size=1, max_size=13))
def test_any_examples_are_shown_as_the_decoder_shows_them(
    tmp_path_factory: pytest.TempPathFactory, examples: list[bytes]
) -> None:
    file = write(tmp_path_factory.mktemp("any"), examples)

    assert content(read_fixed_lengths(file, fixed_lengths(SCHEMA))) == content(read_batches(file))


@pytest.mark.parametrize("row", [0, 9])
def test_what_is_no_example_at_all_is_refused_as_the_decoder_refuses_it(tmp_path: Path, row: int) -> None:
    examples = [example()] * 10
    examples[row] = b"\xff\xff\xff"
    file = write(tmp_path, examples)

    with pytest.raises(RuntimeError, match="Unable to parse example"):
        content(read_fixed_lengths(file, fixed_lengths(SCHEMA)))


@pytest.mark.slow
@pytest.mark.parametrize("odd_file", [0, 1])
def test_a_feature_that_only_the_last_example_of_a_file_has_is_an_anomaly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd_file: int
) -> None:
    monkeypatch.undo()  # The sizes are the real ones.
    import tensorflow_data_validation as tfdv

    from components.statistics.statistics_gen import write_statistics

    contents = [[example()] * 1_500, [example()] * 1_500]
    contents[odd_file][-1] = example(extra=[1])
    files = [write(tmp_path, examples, f"{number}.gz") for number, examples in enumerate(contents)]

    with beam.Pipeline(options=PipelineOptions(list(IN_PROCESS_ARGS))) as pipeline:
        write_statistics(
            pipeline,
            "train",
            files,
            stars=[3.0, 4.5],
            pad=0,
            padded=str(tmp_path / "padded"),
            unpadded=str(tmp_path / "unpadded"),
            schema=SCHEMA,
        )

    counted = tfdv.load_stats_binary(str(tmp_path / "padded" / "Split-train" / "FeatureStats.pb"))
    anomalies = tfdv.validate_statistics(counted, SCHEMA).anomaly_info
    assert counted.datasets[0].num_examples == 3_000
    assert {name: info.short_description for name, info in anomalies.items()} == {"extra": "New column"}


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
