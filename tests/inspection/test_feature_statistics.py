from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.statistics.feature_statistics import (
    SplitStatistics,
    read_split_statistics,
    read_statistics,
    split_names,
)
from data.errors import InputError
from data.examples.manifest import Manifest

pytestmark = pytest.mark.slow

LENGTH = 10


def read_plainly(folder: Path) -> list[dict[str, tuple]]:
    """Read examples with Python's protobufs, padding cut off by `context_length`."""
    examples = []
    for record in tf.data.TFRecordDataset(
        sorted(str(path) for path in folder.iterdir()), compression_type="GZIP"
    ).as_numpy_iterator():
        raw = tf.train.Example.FromString(record).features.feature
        length = raw["context_length"].int64_list.value[0]
        examples.append(
            {
                "context_movie_id": tuple(raw["context_movie_id"].int64_list.value[:length]),
                "context_movie_rating": tuple(raw["context_movie_rating"].float_list.value[:length]),
                "context_movie_year": tuple(y for y in raw["context_movie_year"].int64_list.value[:length] if y),
                "context_movie_genre": tuple(
                    genre.decode() for genre in raw["context_movie_genre"].bytes_list.value if genre != b"UNK"
                ),
                "context_length": (length,),
                "label_movie_id": tuple(raw["label_movie_id"].int64_list.value),
                "label_popularity": tuple(name.decode() for name in raw["label_popularity"].bytes_list.value),
            }
        )
    return examples


@pytest.fixture(scope="module")
def plain(sample_run: Any) -> list[dict[str, tuple]]:
    return read_plainly(sample_run.artifact("ExampleGen", "examples") / "Split-eval")


@pytest.fixture(scope="module")
def figures(sample_run: Any) -> SplitStatistics:
    manifest = Manifest.load(sample_run.artifact("ExampleGen", "examples"))
    return read_split_statistics(sample_run.artifact("StatisticsGen", "unpadded"), "eval", manifest)


def test_every_value_is_counted_as_a_plain_loop_counts_it(
    plain: list[dict[str, tuple]], figures: SplitStatistics
) -> None:
    assert figures.examples == len(plain)
    for name, feature in figures.features.items():
        counted = Counter(f"{v:g}" if isinstance(v, float) else str(v) for example in plain for v in example[name])
        assert feature.counts == counted
        assert feature.values == counted.total()
        assert feature.distinct == len(counted)
        assert feature.missing == 0


@pytest.mark.parametrize("name", ["context_length", "context_movie_rating", "context_movie_year"])
def test_numbers_are_described_as_the_standard_library_describes_them(
    plain: list[dict[str, tuple]], figures: SplitStatistics, name: str
) -> None:
    values = [value for example in plain for value in example[name]]
    described = figures.features[name].numbers

    assert described.mean == pytest.approx(statistics.fmean(values))
    assert described.std == pytest.approx(statistics.pstdev(values))
    assert described.median == statistics.median_low(values)
    assert (described.min, described.max) == (min(values), max(values))


def test_padding_is_counted_apart(plain: list[dict[str, tuple]], figures: SplitStatistics) -> None:
    kept = sum(len(example["context_movie_id"]) for example in plain)

    for name in ("context_movie_id", "context_movie_rating", "context_movie_year"):
        assert figures.features[name].padding_share == pytest.approx(1 - kept / (LENGTH * len(plain)))
    assert figures.features["label_movie_id"].padding_share == 0
    years = sum(len(example["context_movie_year"]) for example in plain)
    assert figures.unknown_year_share == pytest.approx(1 - years / kept)


def test_no_pad_is_among_the_values(figures: SplitStatistics) -> None:
    assert "0" not in figures.features["context_movie_id"].counts
    assert "0" not in figures.features["context_movie_rating"].counts
    assert "0" not in figures.features["context_movie_year"].counts
    assert "UNK" not in figures.features["context_movie_genre"].counts


def test_the_padded_statistics_are_those_of_the_stock_component(sample_run: Any, plain: list[dict[str, tuple]]) -> None:
    dataset = read_statistics(sample_run.artifact("StatisticsGen", "statistics"), "eval").datasets[0]
    by_name = {feature.path.step[0]: feature for feature in dataset.features}

    assert dataset.num_examples == len(plain)
    ratings = by_name["context_movie_rating"].num_stats
    assert ratings.common_stats.tot_num_values == LENGTH * len(plain)
    total = sum(value for example in plain for value in example["context_movie_rating"])
    assert ratings.mean == pytest.approx(total / (LENGTH * len(plain)))
    assert ratings.num_zeros == sum(LENGTH - len(example["context_movie_rating"]) for example in plain)
    assert by_name["context_movie_id"].type == statistics_pb2.FeatureNameStatistics.INT


def test_splits_are_listed_with_train_first(sample_run: Any) -> None:
    assert split_names(sample_run.artifact("StatisticsGen", "unpadded")) == ["train", "eval"]


def test_statistics_that_are_not_there_are_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="FeatureStats"):
        read_statistics(tmp_path, "train")
