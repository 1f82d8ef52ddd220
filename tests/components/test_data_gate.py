"""The data gate, behind the real ExampleValidator, on statistics of examples that were tampered with."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from small_graphs import GivenStatistics, imported, imported_examples, run_graph
from tampered_examples import Features, count_statistics, read_records, tampered
from tfx import v1 as tfx

from components.data_gate.data_gate import DataGate
from components.data_gate.rules import find_drift
from components.gate_settings import DataGateSettings
from components.history.resolving import PreviousStatistics
from data.errors import InputError
from data.examples.schema import build_schema
from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue

pytestmark = pytest.mark.slow

SAMPLE_SIZE = 4000


def label(features: Features) -> int:
    return features["label_movie_id"].int64_list.value[0]


def a_new_genre(features: Features) -> None:
    features["context_movie_genre"].bytes_list.value[0] = b"Telenovela"


def ids_as_text(features: Features) -> None:
    text = str(label(features)).encode()
    features["label_movie_id"].Clear()
    features["label_movie_id"].bytes_list.value.append(text)


def a_missing_feature(features: Features) -> None:
    del features["context_movie_year"]


def a_pad_as_label(features: Features) -> None:
    features["label_movie_id"].int64_list.value[0] = 0


def six_stars(features: Features) -> None:
    features["context_movie_rating"].float_list.value[0] = 6.0


class Data:
    """The sample's schema and examples, and folders of statistics of what becomes of the examples."""

    def __init__(self, sample_run, folder: Path) -> None:
        self.schema_folder = sample_run.artifact("SchemaImporter", "schema")
        self._schema = tfdv.load_schema_text(str(self.schema_folder / "schema.pbtxt"))
        self._folder = folder
        self.examples_folder = examples = sample_run.artifact("ExampleGen", "examples")
        self.train = read_records((examples / "Split-train").iterdir())[:SAMPLE_SIZE]
        self.eval = read_records((examples / "Split-eval").iterdir())

    def statistics(self, train: Iterable[bytes] | None = None, evaluation: Iterable[bytes] | None = None) -> Path:
        """Return a folder as StatisticsGen leaves it."""
        folder = self._folder / f"statistics-{len(list(self._folder.iterdir()))}"
        for split, records in (
            ("train", self.train if train is None else train),
            ("eval", self.eval if evaluation is None else evaluation),
        ):
            counted = count_statistics(list(records), self._schema, self._folder)
            (folder / f"Split-{split}").mkdir(parents=True)
            (folder / f"Split-{split}" / "FeatureStats.pb").write_bytes(counted.SerializeToString())
        return folder


def most_popular(records: list[bytes]) -> tuple[np.ndarray, list[int]]:
    """Return each record's label, and all labels, most frequent first."""
    labels = np.array([label(tf.train.Example.FromString(record).features.feature) for record in records])
    return labels, [movie for movie, _ in Counter(labels.tolist()).most_common()]


@pytest.fixture(scope="module")
def data(sample_run, tmp_path_factory) -> Data:
    return Data(sample_run, tmp_path_factory.mktemp("statistics"))


@pytest.fixture(scope="module")
def untouched(data) -> Path:
    return data.statistics()


def run_gate(data: Data, statistics: Path, folder: Path, **settings) -> dict:
    """Run the validator, the resolver of what passed before, and the gate; return its verdict."""
    examples = imported_examples(data.examples_folder)
    schema = imported("Schema", tfx.types.standard_artifacts.Schema, data.schema_folder)
    current = GivenStatistics(examples=examples.outputs["result"], folder=str(statistics)).with_id("Statistics")
    validator = tfx.components.ExampleValidator(
        statistics=current.outputs["statistics"], schema=schema.outputs["result"]
    )
    previous = tfx.dsl.Resolver(
        strategy_class=PreviousStatistics,
        examples=examples.outputs["result"],
        current=current.outputs["statistics"],
        previous=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ExampleStatistics),
    ).with_id("PreviousStatistics")
    gate = DataGate(
        statistics=current.outputs["statistics"],
        schema=schema.outputs["result"],
        anomalies=validator.outputs["anomalies"],
        previous_statistics=previous.outputs["previous"],
        settings=DataGateSettings(**settings).model_dump_json(),
        code_digest="",
    )
    return run_graph([examples, schema, current, validator, previous, gate], folder).data_verdict


def test_good_data_passes_and_there_is_nothing_to_compare_with_at_first(data, untouched, tmp_path):
    verdict = run_gate(data, untouched, tmp_path)
    assert verdict["findings"] == []
    assert not verdict["compared_with_previous"]
    assert verdict["not_compared"] == {}


@pytest.mark.parametrize(
    ("change", "feature", "reason"),
    [
        (a_new_genre, "context_movie_genre", "Telenovela"),
        (ids_as_text, "label_movie_id", "STRING"),
        (a_missing_feature, "context_movie_year", "missing"),
        (a_pad_as_label, "label_movie_id", "small value: 0"),
        (six_stars, "context_movie_rating", "6"),
    ],
)
def test_an_anomaly_stops_the_run_with_one_line_that_names_it(data, tmp_path, change, feature, reason):
    every = 1 if change in (ids_as_text, a_missing_feature) else 50
    statistics = data.statistics(train=tampered(data.train, change, every))
    with pytest.raises(InputError) as refused:
        run_gate(data, statistics, tmp_path)
    said = str(refused.value)
    assert "\n" not in said
    assert f"anomalies in train, {feature}: " in said
    assert reason in said
    assert "data_gate.anomalies" in said  # what to do if the data is meant to be so


def test_an_anomaly_in_the_eval_split_stops_the_run_too(data, tmp_path):
    statistics = data.statistics(evaluation=tampered(data.eval, a_new_genre, every=50))
    with pytest.raises(InputError, match="anomalies in eval, context_movie_genre"):
        run_gate(data, statistics, tmp_path)


def test_an_eval_split_without_popularity_is_told_as_an_anomaly(data, tmp_path):
    def no_popularity(features: Features) -> None:
        del features["label_popularity"]

    statistics = data.statistics(evaluation=tampered(data.eval, no_popularity))
    with pytest.raises(InputError, match="anomalies in eval, label_popularity: Column is completely missing"):
        run_gate(data, statistics, tmp_path / "stops")
    verdict = run_gate(data, statistics, tmp_path / "warns", anomalies="warn")
    assert verdict["unseen_label_share"] is None


def test_a_warning_lets_the_run_go_on_and_is_written_down(data, tmp_path):
    statistics = data.statistics(train=tampered(data.train, a_new_genre))
    verdict = run_gate(data, statistics, tmp_path, anomalies="warn")
    (finding,) = verdict["findings"]
    assert (finding["kind"], finding["where"]) == ("anomalies", ["train", "context_movie_genre"])


@pytest.fixture(scope="module")
def thirty_percent_unseen(data) -> Path:
    def unseen(features: Features) -> None:
        features["label_popularity"].bytes_list.value[0] = b"unseen"

    kept = [
        record
        for record in data.eval
        if b"unseen" not in tf.train.Example.FromString(record).features.feature["label_popularity"].bytes_list.value
    ]
    return data.statistics(evaluation=[*tampered(kept[:300], unseen), *kept[300:1000]])


def test_too_many_labels_that_train_never_shows_stop_the_run(data, thirty_percent_unseen, tmp_path):
    with pytest.raises(InputError, match=r"30\.0% of the eval labels are ids that train never shows, more than 25%"):
        run_gate(data, thirty_percent_unseen, tmp_path)


def test_how_many_unseen_labels_are_too_many_is_a_setting(data, thirty_percent_unseen, tmp_path):
    verdict = run_gate(data, thirty_percent_unseen, tmp_path / "more", max_unseen_label_share=0.31)
    assert verdict["findings"] == []
    assert verdict["unseen_label_share"] == pytest.approx(0.3)
    warned = run_gate(data, thirty_percent_unseen, tmp_path / "warned", unseen_labels="warn")
    assert [finding["kind"] for finding in warned["findings"]] == ["unseen_labels"]


def test_the_share_of_unseen_labels_is_as_counted(data, untouched, tmp_path):
    unseen = sum(b"unseen" in record for record in data.eval) / len(data.eval)
    assert run_gate(data, untouched, tmp_path)["unseen_label_share"] == pytest.approx(unseen)


def test_two_halves_of_the_same_data_are_no_drift(data, tmp_path):
    order = np.random.default_rng(1).permutation(len(data.train))
    for half in (order[::2], order[1::2]):
        verdict = run_gate(data, data.statistics(train=[data.train[row] for row in half]), tmp_path)
        assert verdict["findings"] == []
    assert verdict["compared_with_previous"]
    assert verdict["distances"]["label_movie_id: L_INFTY"] > 0, "the ids are not counted one by one"


def test_two_halves_of_ml_latest_small_are_no_drift(ml_latest_small_folder, tmp_path):
    options = GenerateOptions(release="ml-latest-small")
    manifest = generate(options, tmp_path / "data", source=ml_latest_small_folder)
    catalogue = Catalogue.load(tmp_path / "data" / manifest.catalogue_file)
    schema = build_schema(options, catalogue.genre_names())
    records = read_records((tmp_path / "data").glob("train-*"))
    # The shards are in the order of a hash: every second example is a random half.
    one, other = (count_statistics(records[start::2], schema, tmp_path) for start in (0, 1))
    drift = find_drift(one, other, schema)
    assert drift.findings == []
    assert len(drift.distances) == 5


@pytest.fixture(scope="module")
def concentrated(data) -> Path:
    """Statistics of train with the labels of the less popular movies gone."""
    labels, ranking = most_popular(data.train)
    head = set(ranking[: len(ranking) * 3 // 10])
    return data.statistics(train=[record for record, movie in zip(data.train, labels, strict=True) if movie in head])


@pytest.fixture(scope="module")
def one_takes_over(data) -> Path:
    """Statistics of train where one movie is watched five times as often."""
    labels, ranking = most_popular(data.train)
    return data.statistics(
        train=[
            record
            for record, movie in zip(data.train, labels, strict=True)
            for _ in range(5 if movie == ranking[10] else 1)
        ]
    )


@pytest.mark.parametrize(
    ("shifted", "feature"), [("concentrated", "label_popularity"), ("one_takes_over", "label_movie_id")]
)
def test_shifted_popularity_is_drift_against_the_run_before(data, untouched, tmp_path, request, shifted, feature):
    run_gate(data, untouched, tmp_path)
    with pytest.raises(InputError) as refused:
        run_gate(data, request.getfixturevalue(shifted), tmp_path)
    assert f"drift in train, {feature}: " in str(refused.value)
    assert "data_gate.drift" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_anomaly_that_only_warns_hides_no_drift_of_the_same_feature(data, untouched, tmp_path):
    def unknown(features: Features) -> None:
        features["label_popularity"].bytes_list.value[0] = b"strange"

    run_gate(data, untouched, tmp_path)
    with pytest.raises(InputError) as refused:
        run_gate(data, data.statistics(train=tampered(data.train, unknown, every=2)), tmp_path, anomalies="warn")
    assert "drift in train, label_popularity: " in str(refused.value)
    assert "anomalies" not in str(refused.value)


def test_another_context_length_is_no_drift_and_the_verdict_says_what_was_not_compared(
    data, untouched, tmp_path, caplog, monkeypatch
):
    generate(GenerateOptions(release="sample", max_context_length=20), tmp_path / "longer")
    longer = read_records(sorted((tmp_path / "longer").glob("train-*")))[:SAMPLE_SIZE]
    run_gate(data, data.statistics(train=longer), tmp_path, anomalies="warn")
    gate = logging.getLogger("next_movie.data_gate")
    # A run that prints its progress keeps the project's records from the root's handlers.
    monkeypatch.setattr(gate, "handlers", [caplog.handler])
    monkeypatch.setattr(gate, "propagate", False)

    with caplog.at_level(logging.INFO, gate.name):
        verdict = run_gate(data, untouched, tmp_path)

    assert verdict["findings"] == []
    reason = "10 values of context_movie_id in an example, 20 in the previous run"
    assert verdict["not_compared"] == {
        "context_movie_id": reason,
        "context_movie_rating": reason,
        "context_movie_genre": reason,
    }
    (said,) = [message for message in caplog.messages if message.startswith("not compared")]
    assert said == "not compared with the previous run: " + "; ".join(
        f"{name} ({reason})" for name in verdict["not_compared"]
    )


def test_what_the_gate_refused_is_not_what_the_next_run_is_compared_with(data, untouched, concentrated, tmp_path):
    run_gate(data, untouched, tmp_path)
    with pytest.raises(InputError):
        run_gate(data, concentrated, tmp_path)
    verdict = run_gate(data, untouched, tmp_path)
    assert verdict["compared_with_previous"]
    assert verdict["findings"] == []


def test_drift_that_was_let_pass_is_what_the_next_run_is_compared_with(data, untouched, concentrated, tmp_path):
    run_gate(data, untouched, tmp_path)
    warned = run_gate(data, concentrated, tmp_path, drift="warn")
    assert {finding["kind"] for finding in warned["findings"]} == {"drift"}
    assert run_gate(data, concentrated, tmp_path)["findings"] == []
