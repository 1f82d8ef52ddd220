"""What one lane of TFX makes, the other makes too: the values below are asked of both.

They were taken from a run of TFX 1.16. A change of the sample, of what an example holds or of the model changes them.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from components.statistics.feature_statistics import read_statistics
from data.examples.manifest import Manifest

pytestmark = pytest.mark.slow

RECORDS = {
    "train": "e44246d6bde45fcbe4e95f1b4d2822cd7bda59f304e3da28058c0ccb79b608fa",
    "eval": "4964b09cd042ac004d74051d3d930c4a481a8f8fad54a112a0c18abb4a4fe35b",
}
"""SHA-256 of the TFRecords of each split, decompressed, in the order of its shards."""

VOCABULARY = "9f1dbff26642b39d2f760d3db614ccec9aba79ff4d77312d1af893c599390bdd"

NUMBERS = {
    "context_length": (8.67561249298672, 2.5773375335317525, 10.0, 10.0),
    "context_movie_id": (266.07964746586873, 203.99552644424378, 244.0, 637.0),
    "context_movie_rating": (3.0880049560501215, 1.4679852592929967, 3.5, 5.0),
    "context_movie_year": (1648.5971385823827, 751.611279471314, 1986.0, 2019.0),
}
"""Mean, standard deviation, median and maximum of train, pads included, as TFDV has them."""

UNIQUE = {"context_movie_genre": 9, "label_movie_id": 160, "label_popularity": 2}

METRICS = {"recall_at_1": 0.0501, "recall_at_10": 0.5259, "recall_at_100": 0.9398, "ndcg_at_10": 0.2410, "mrr": 0.1774}
"""Of the model that the seed makes."""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_samples_records_are_the_same_bytes(sample_run):
    root = Path(sample_run.paths.data_root)
    manifest = Manifest.load(root)
    for split, wanted in RECORDS.items():
        shards = [(root / shard.name).read_bytes() for shard in manifest.shards_of(split)]
        assert digest(b"".join(map(gzip.decompress, shards))) == wanted, split


def test_the_vocabulary_is_the_same_file(sample_run):
    graph = sample_run.artifact("Transform", "transform_graph")
    assert digest((graph / "transform_fn" / "assets" / "movie_id").read_bytes()) == VOCABULARY


def test_the_statistics_are_the_same_but_for_what_quantiles_may_be_off(sample_run):
    (train,) = read_statistics(sample_run.artifact("StatisticsGen", "statistics"), "train").datasets
    assert train.num_examples == 21_388
    found = {feature.path.step[0]: feature for feature in train.features}
    assert found.keys() == NUMBERS.keys() | UNIQUE.keys()
    for name, (mean, std, median, largest) in NUMBERS.items():
        numbers = found[name].num_stats
        assert (numbers.mean, numbers.std_dev, numbers.max) == pytest.approx((mean, std, largest), rel=1e-9), name
        assert numbers.median == pytest.approx(median, rel=0.01), name
    assert {name: found[name].string_stats.unique for name in UNIQUE} == UNIQUE


def test_the_same_seed_gives_a_model_of_the_same_quality(sample_run):
    metrics = sample_run.record.evaluation_result.evaluation.candidate
    assert {name: metrics[name] for name in METRICS} == pytest.approx(METRICS, abs=0.01)
