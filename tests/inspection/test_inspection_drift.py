from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tampered_examples import count_statistics, read_records, tampered

from components.statistics.feature_statistics import FeatureStatistics
from data.errors import InputError
from data.generate import generate
from data.options import GenerateOptions
from pipeline.inspection.drift import Side, chance_distances, compare, parse_side
from pipeline.inspection.statistics_store import StatisticsSet, open_source
from pipeline.inspection.validation import infer_differences, validate

pytestmark = pytest.mark.slow


def statistics_of(counts: dict[str, int]) -> FeatureStatistics:
    return FeatureStatistics(
        name="x",
        kind="movie",
        missing=0,
        values=sum(counts.values()),
        padding_share=0,
        distinct=len(counts),
        numbers=None,
        counts=counts,
    )


def jensen_shannon(left: np.ndarray, right: np.ndarray) -> float:
    """Return the divergence of two distributions in bits, by its definition."""
    middle = (left + right) / 2

    def kullback_leibler(of: np.ndarray) -> float:
        seen = of > 0
        return float(np.sum(of[seen] * np.log2(of[seen] / middle[seen])))

    return (kullback_leibler(left) + kullback_leibler(right)) / 2


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("train", ("latest", "train")),
        ("eval", ("latest", "eval")),
        ("previous", ("previous", "train")),
        ("3:eval", ("3", "eval")),
        ("runs/data/newer:eval", ("runs/data/newer", "eval")),
        ("runs/da:ta", ("runs/da:ta", "train")),
    ],
)
def test_a_side_names_a_source_or_a_split_or_both(text: str, parsed: tuple[str, str]) -> None:
    assert parse_side(text) == parsed


def test_chance_alone_stays_below_what_chance_is_said_to_do() -> None:
    random = np.random.default_rng(1)
    truth = random.dirichlet(np.ones(300))
    sizes = (20_000, 2_000)
    divergences, largest = [], []
    for _ in range(200):
        samples = [random.multinomial(size, truth) for size in sizes]
        left, right = (statistics_of({str(v): int(c) for v, c in enumerate(sample) if c}) for sample in samples)
        said = chance_distances(left, right, sizes)
        shares = [sample / sample.sum() for sample in samples]
        divergences.append(jensen_shannon(*shares) / said["JENSEN_SHANNON_DIVERGENCE"])
        largest.append(np.abs(shares[0] - shares[1]).max() / said["L_INFTY"])

    # The divergence is near its expectation; the largest difference is rarely beyond three deviations.
    assert 0.8 < np.mean(divergences) < 1.2
    assert np.quantile(largest, 0.95) < 1


def test_chance_by_hand() -> None:
    left, right = statistics_of({"a": 50, "b": 50}), statistics_of({"a": 50, "b": 50})

    said = chance_distances(left, right, (100, 100))

    assert said["L_INFTY"] == pytest.approx(3 * math.sqrt(0.25 * 0.02))
    assert said["JENSEN_SHANNON_DIVERGENCE"] == pytest.approx(0.02 / (8 * math.log(2)))


def test_two_splits_of_one_release_have_not_moved_by_tfdvs_own_distances(sample_source: StatisticsSet) -> None:
    comparison = compare(Side(sample_source, "train"), Side(sample_source, "eval"))

    assert [row.feature for row in comparison.distances] == list(comparison.left_statistics.features)
    assert not [row.feature for row in comparison.distances if row.moved]
    for row in comparison.distances:
        left, right = (of.features[row.feature] for of in (comparison.left_statistics, comparison.right_statistics))
        values = sorted(left.counts.keys() | right.counts.keys())
        shares = [np.array([of.share(value) for value in values]) for of in (left, right)]
        assert row.linf == pytest.approx(np.abs(shares[0] - shares[1]).max(), abs=1e-6)
        assert row.js == pytest.approx(jensen_shannon(*shares), abs=1e-5)


def test_another_habit_of_rating_has_moved_and_what_moved_is_named(
    sample_source: StatisticsSet, liked_shards: Path
) -> None:
    with open_source(str(liked_shards), liked_shards) as now:
        comparison = compare(Side(sample_source, "train"), Side(now, "train"))

    by_feature = {row.feature: row for row in comparison.distances}
    assert by_feature["context_movie_rating"].moved
    assert {mover.value for mover in by_feature["context_movie_rating"].movers} & {"2", "3.5", "4"}
    titles = set(now.catalogue.titles)
    assert {mover.value for mover in by_feature["label_movie_id"].movers} <= titles


def test_a_feature_that_one_side_has_no_values_of_is_named_and_the_others_are_compared(
    sample_source: StatisticsSet, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    release.mkdir()
    # No title tells a year.
    titles = "".join(f"{movie},Movie {movie},Drama\n" for movie in range(1, 30))
    (release / "movies.csv").write_text(f"movieId,title,genres\n{titles}")
    ratings = "".join(
        f"{user},{movie},4.0,{10**9 + user * 100 + movie}\n" for user in range(1, 40) for movie in range(1, 30)
    )
    (release / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{ratings}")
    generate(GenerateOptions(release="ml-latest-small"), tmp_path / "shards", source=release)

    with open_source(str(tmp_path / "shards"), tmp_path) as yearless:
        now = compare(Side(sample_source, "train"), Side(yearless, "train"))
        turned = compare(Side(yearless, "train"), Side(sample_source, "train"))

    for comparison in (now, turned):
        assert comparison.not_compared == {"context_movie_year": "shards, train has no values of it"}
        assert {row.feature for row in comparison.distances} == {
            *comparison.left_statistics.features.keys() - {"context_movie_year"}
        }


def test_generated_shards_break_nothing_of_the_schema(sample_source: StatisticsSet) -> None:
    assert validate(sample_source) == []


def test_an_anomaly_is_told_with_feature_reason_and_example(sample_source: StatisticsSet) -> None:
    schema = sample_source.schema()
    stars = next(feature for feature in schema.feature if feature.name == "context_movie_rating")
    stars.float_domain.max = 4.5

    found = validate(sample_source, schema)

    assert {(anomaly.split, anomaly.feature) for anomaly in found} == {
        ("train", "context_movie_rating"),
        ("eval", "context_movie_rating"),
    }
    assert all("5" in anomaly.reason for anomaly in found)
    assert all(anomaly.example.startswith("example ") and "5" in anomaly.example for anomaly in found)


def test_what_is_wrong_with_the_examples_as_a_whole_is_told(sample_source: StatisticsSet) -> None:
    schema = sample_source.schema()
    schema.dataset_constraints.min_examples_count = 10_000

    found = validate(sample_source, schema)

    assert [(anomaly.split, anomaly.feature) for anomaly in found] == [("eval", "(all)")]
    assert "fewer than expected" in found[0].reason


def test_the_example_of_a_feature_that_is_too_many_is_the_first_that_has_it(
    sample_source: StatisticsSet, tmp_path: Path
) -> None:
    (shard, *_) = sorted(sample_source.examples.glob("eval-*"))
    records = read_records([shard])
    records[5:7] = tampered(records[5:7], lambda features: features["extra"].int64_list.value.append(3))
    with tf.io.TFRecordWriter(str(tmp_path / "odd.gz"), "GZIP") as writer:
        for record in records:
            writer.write(record)
    counted = count_statistics(records, sample_source.schema(), tmp_path)
    for split in ("padded", "unpadded"):
        (tmp_path / split / "Split-eval").mkdir(parents=True)
        (tmp_path / split / "Split-eval" / "FeatureStats.pb").write_bytes(counted.SerializeToString())
    odd = replace(
        sample_source,
        padded=tmp_path / "padded",
        unpadded=tmp_path / "unpadded",
        files={"eval": [str(tmp_path / "odd.gz")]},
    )

    (anomaly,) = validate(odd)

    assert (anomaly.feature, anomaly.kind, anomaly.example) == ("extra", "New column", "example 6: 3")


def test_an_inferred_schema_knows_only_what_happens_to_be_there(sample_source: StatisticsSet) -> None:
    differences = {(row.feature, row.what): row for row in infer_differences(sample_source)}

    popularity = differences["label_popularity", "domain"]
    assert (popularity.curated, popularity.inferred) == ("head, middle, tail, unseen", "head, middle")
    assert differences["context_movie_year", "domain"].inferred == "any"
    assert ("context_movie_id", "shape") not in differences


def test_shards_that_were_tampered_with_are_refused(sample_shards: Path, tmp_path: Path) -> None:
    for path in sample_shards.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    shard = next(tmp_path.glob("eval-*"))
    shard.write_bytes(shard.read_bytes()[:-1])

    with pytest.raises(InputError, match="differs"), open_source(str(tmp_path), tmp_path):
        pass
