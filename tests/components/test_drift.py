"""What counts as drift: real distances by TFDV, on statistics of the sample's examples and of what became of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tampered_examples import Features, count_statistics, read_records, tampered
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.data_gate.rules import find_drift, unseen_label_share
from data.examples.schema import build_schema
from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue

pytestmark = pytest.mark.slow

SAMPLE_SIZE = 4000

CONTEXT = {"context_movie_id", "context_movie_rating", "context_movie_genre"}
"""The context's features that have a drift comparator."""

LABEL = {"label_movie_id: L_INFTY", "label_popularity: L_INFTY"}


class Examples:
    """The sample's train examples under some settings, with their schema."""

    def __init__(self, folder: Path, **settings: int) -> None:
        options = GenerateOptions(release="sample", **settings)
        manifest = generate(options, folder / "data")
        catalogue = Catalogue.load(folder / "data" / manifest.catalogue_file)
        self._folder = folder
        self.schema = build_schema(options, catalogue.genre_names())
        self.records = read_records(sorted((folder / "data").glob("train-*")))[:SAMPLE_SIZE]

    def statistics(
        self, change: Callable[[Features], None] | None = None, every: int = 1
    ) -> statistics_pb2.DatasetFeatureStatisticsList:
        """Count the examples, one in so many of them changed."""
        records = self.records if change is None else tampered(self.records, change, every)
        return count_statistics(records, self.schema, self._folder)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return Examples(tmp_path_factory.mktemp("usual"))


@pytest.fixture(scope="module")
def before(examples: Examples) -> statistics_pb2.DatasetFeatureStatisticsList:
    return examples.statistics()


def an_unknown_popularity(features: Features) -> None:
    features["label_popularity"].bytes_list.value[0] = b"strange"


def popularity_as_a_number(features: Features) -> None:
    features["label_popularity"].int64_list.value.append(3)


def a_pad_as_label(features: Features) -> None:
    features["label_movie_id"].int64_list.value[0] = 0


def genres_as_numbers(features: Features) -> None:
    features["context_movie_genre"].int64_list.value[:] = [5] * 10


def no_label(features: Features) -> None:
    del features["label_movie_id"]


def two_popularities(features: Features) -> None:
    features["label_popularity"].bytes_list.value.append(b"tail")


def six_stars(features: Features) -> None:
    features["context_movie_rating"].float_list.value[:] = [6.0] * 10


def stars_that_are_no_numbers(features: Features) -> None:
    features["context_movie_rating"].float_list.value[:] = [float("nan")] * 10


def a_new_genre(features: Features) -> None:
    features["context_movie_genre"].bytes_list.value[:] = [b"Telenovela"] * 10


def the_same_eleven_movies(features: Features) -> None:
    features["context_movie_id"].int64_list.value[:] = range(1, 12)


@pytest.mark.parametrize(
    ("change", "every", "feature", "distance"),
    [
        (an_unknown_popularity, 2, "label_popularity", 0.5),
        (two_popularities, 1, "label_popularity", 0.5),
        (a_pad_as_label, 2, "label_movie_id", 0.5),
        (a_new_genre, 1, "context_movie_genre", 1.0),
        (six_stars, 2, "context_movie_rating", None),
        (stars_that_are_no_numbers, 2, "context_movie_rating", None),
        (popularity_as_a_number, 1, "label_popularity", None),
        (the_same_eleven_movies, 3, "context_movie_id", None),
    ],
)
def test_drift_is_found_whatever_else_is_wrong_with_the_feature(
    examples: Examples,
    before: statistics_pb2.DatasetFeatureStatisticsList,
    change: Callable[[Features], None],
    every: int,
    feature: str,
    distance: float | None,
) -> None:
    drift = find_drift(examples.statistics(change, every), before, examples.schema)

    (finding,) = drift.findings
    assert (finding.kind, finding.where) == ("drift", ("train", feature))
    assert "above the threshold" in finding.what
    # What is wrong with it otherwise is an anomaly, and told as one.
    assert not any(word in finding.what for word in ("missing from the schema", "shape", "Expected", "Unexpected"))
    if distance is not None:
        assert finding.measured == pytest.approx(distance, abs=0.001)
        assert finding.measured > finding.allowed > 0
        assert drift.distances[f"{feature}: {'JENSEN_SHANNON_DIVERGENCE' if 'genre' in feature else 'L_INFTY'}"] == (
            pytest.approx(distance, abs=0.001)
        )


@pytest.mark.parametrize("change", [an_unknown_popularity, a_pad_as_label, a_new_genre, no_label])
def test_a_single_anomaly_is_no_drift(
    examples: Examples,
    before: statistics_pb2.DatasetFeatureStatisticsList,
    change: Callable[[Features], None],
) -> None:
    drift = find_drift(examples.statistics(change, every=SAMPLE_SIZE), before, examples.schema)

    assert drift.findings == []
    assert len(drift.distances) == 5
    assert drift.not_compared == {}


@pytest.mark.parametrize(
    ("change", "feature"), [(genres_as_numbers, "context_movie_genre"), (no_label, "label_movie_id")]
)
def test_what_can_not_be_measured_is_no_drift_and_is_said_to_be_not_compared(
    examples: Examples,
    before: statistics_pb2.DatasetFeatureStatisticsList,
    change: Callable[[Features], None],
    feature: str,
) -> None:
    drift = find_drift(examples.statistics(change), before, examples.schema)

    assert drift.findings == []
    assert drift.not_compared.keys() == {feature}
    assert len(drift.distances) == 4


def test_data_without_examples_are_no_drift(
    examples: Examples, before: statistics_pb2.DatasetFeatureStatisticsList
) -> None:
    nothing = statistics_pb2.DatasetFeatureStatisticsList(datasets=[statistics_pb2.DatasetFeatureStatistics()])

    drift = find_drift(nothing, before, examples.schema)

    assert drift.findings == []
    assert drift.not_compared.keys() == {*CONTEXT, "label_movie_id", "label_popularity"}


@pytest.mark.parametrize(
    ("settings", "not_compared", "reason"),
    [
        ({"max_context_length": 20}, CONTEXT, "20 values of context_movie_id in an example, 10 in the previous run"),
        ({"max_context_length": 5}, CONTEXT, "5 values of context_movie_id in an example, 10 in the previous run"),
        (
            {"max_context_movie_genre_length": 5},
            {"context_movie_genre"},
            "5 values of context_movie_genre in an example, 10 in the previous run",
        ),
    ],
)
def test_another_length_is_no_drift(
    before: statistics_pb2.DatasetFeatureStatisticsList,
    tmp_path: Path,
    settings: dict[str, int],
    not_compared: set[str],
    reason: str,
) -> None:
    other = Examples(tmp_path, **settings)

    drift = find_drift(other.statistics(), before, other.schema)

    assert drift.findings == []
    assert drift.not_compared == dict.fromkeys(not_compared, reason)
    assert drift.distances.keys() >= LABEL
    assert not {name for name in drift.distances if name.split(":")[0] in not_compared}


def test_labels_are_compared_whatever_the_context_s_length(
    before: statistics_pb2.DatasetFeatureStatisticsList, tmp_path: Path
) -> None:
    other = Examples(tmp_path, max_context_length=20)

    drift = find_drift(other.statistics(an_unknown_popularity, every=2), before, other.schema)

    assert [finding.where[1] for finding in drift.findings] == ["label_popularity"]


def test_the_context_s_length_is_not_compared_either_once_it_may_be_longer(
    examples: Examples, before: statistics_pb2.DatasetFeatureStatisticsList, tmp_path: Path
) -> None:
    other = Examples(tmp_path, max_context_length=20)
    for schema in (other.schema, examples.schema):
        of_length = next(feature for feature in schema.feature if feature.name == "context_length")
        of_length.drift_comparator.jensen_shannon_divergence.threshold = 0.001

    longer = find_drift(other.statistics(), before, other.schema)
    same = find_drift(examples.statistics(), before, examples.schema)

    assert longer.findings == []
    assert "context_length" in longer.not_compared
    assert "context_length: JENSEN_SHANNON_DIVERGENCE" in same.distances


def test_a_few_examples_of_another_length_are_an_anomaly_and_hide_no_drift(
    examples: Examples, before: statistics_pb2.DatasetFeatureStatisticsList
) -> None:
    changed = examples.statistics(the_same_eleven_movies, every=3)

    now_odd = find_drift(changed, before, examples.schema)
    then_odd = find_drift(before, changed, examples.schema)

    assert [finding.where[1] for finding in now_odd.findings] == ["context_movie_id"]
    assert [finding.where[1] for finding in then_odd.findings] == ["context_movie_id"]


def test_the_share_of_unseen_labels_is_unknown_without_their_popularity(examples: Examples) -> None:
    def without(features: Features) -> None:
        del features["label_popularity"]

    assert unseen_label_share(examples.statistics(without)) is None
    assert unseen_label_share(examples.statistics(popularity_as_a_number)) is None
    assert unseen_label_share(examples.statistics()) == 0.0


def test_a_schema_asks_for_what_it_is_not_changed_for(
    examples: Examples, before: statistics_pb2.DatasetFeatureStatisticsList, tmp_path: Path
) -> None:
    other = Examples(tmp_path, max_context_length=20)
    asked = schema_pb2.Schema.FromString(other.schema.SerializeToString())

    find_drift(other.statistics(), before, other.schema)

    assert other.schema == asked


def one_star(features: Features) -> None:
    features["context_movie_rating"].float_list.value[:] = [1.0] * 10


def one_star_or_a_pad(features: Features) -> None:
    features["context_movie_rating"].float_list.value[:] = [1.0] * 9 + [0.0]


@pytest.mark.parametrize("with_pads", [(False, True), (True, False), (True, True)])
def test_ratings_that_are_one_number_do_not_drift_whether_or_not_there_are_pads(
    examples: Examples, with_pads: tuple[bool, bool]
) -> None:
    sides = [examples.statistics(one_star_or_a_pad if padded else one_star) for padded in with_pads]

    drift = find_drift(*sides, examples.schema)

    assert drift.findings == []
    assert drift.not_compared == {"context_movie_rating": "it is one number in both, beside the pad"}


def test_ratings_that_become_one_number_drift(
    examples: Examples, before: statistics_pb2.DatasetFeatureStatisticsList
) -> None:
    drift = find_drift(examples.statistics(one_star), before, examples.schema)

    assert [finding.where[1] for finding in drift.findings] == ["context_movie_rating"]
