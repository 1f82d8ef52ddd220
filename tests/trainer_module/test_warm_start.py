"""Starting from the served model: what stays, what new movies start from, and when nothing of it fits."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras
from hypothesis import given
from hypothesis import strategies as st
from synthetic_model import analyse

from data.identity import DataIdentity
from data.releases.catalogue import CATALOGUE_FILE, Catalogue, Movie
from serving.export_record import RECORD_FILE, read_record
from serving.training_record import TrainingRecord
from trainer_module.dataset import Windows
from trainer_module.export import save_model
from trainer_module.model import CANDIDATES, EMBEDDING, NextMovieModel, assign_weights, weights_of
from trainer_module.ppmi_init import mutual_information
from trainer_module.settings import ModelSettings, RollingSettings, TrainingSettings
from trainer_module.signatures import ServingModel
from trainer_module.training import new_model
from trainer_module.vocabulary import Vocabulary
from trainer_module.warm_start import (
    RIDGE,
    Learnt,
    choose_beginning,
    describe,
    grown_weights,
    last_seen_in,
    windows_to_learn,
)

LENGTH = 4
TOWERS = ModelSettings(embedding_dim=3, gru_units=2)
IDENTITY = DataIdentity(data_set="shop", source_digest="d", options={})
SERVED = TrainingRecord(model=TOWERS.model_dump(mode="json"), start="cold", rows_new=12, span=5)


def model_of(num_movies: int, towers: ModelSettings = TOWERS) -> NextMovieModel:
    keras.utils.set_random_seed(3)
    model = NextMovieModel(num_movies, LENGTH, towers)
    model.candidate_tower.assign(
        np.random.default_rng(1).normal(size=model.candidate_tower.catalogue().shape).astype(np.float32)
    )
    return model


def export(
    folder: Path,
    model: NextMovieModel,
    num_movies: int,
    vanished: tuple[int, ...] = (),
    record: TrainingRecord = SERVED,
) -> Path:
    """Save a model of the movies from 1 on, and of vanished ones behind them."""
    transform_output = analyse(folder / "scratch", num_movies, LENGTH)
    vocabulary = Vocabulary.of(transform_output, 0).with_more(np.array(vanished, np.int64), str(folder / "vocabulary"))
    catalogue = Catalogue.of(
        [Movie(movie_id, "t", 1999, ("Drama",)) for movie_id in sorted(vocabulary.movie_ids.tolist())]
    )
    (folder / "scratch").mkdir(exist_ok=True)
    catalogue.save(folder / "scratch" / CATALOGUE_FILE)
    serving = ServingModel(model, transform_output, np.arange(len(vocabulary.movie_ids)), LENGTH, vocabulary=vocabulary)
    file = str(folder / "scratch" / CATALOGUE_FILE)
    save_model(serving, file, vocabulary.movie_ids, str(folder / "model"), data=IDENTITY, training=record)
    return folder / "model"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NextMovieModel]:
    model = model_of(12)
    return export(tmp_path_factory.mktemp("served"), model, 10, vanished=(77, 78)), model


def begin(served: Path | None, movie_ids: list[int], span: int | None = 6, **changed):
    rolling = changed.pop("rolling", RollingSettings())
    spans = changed.pop("spans", {} if span is None else {span: 0})
    known = {"spans": spans, "model": TOWERS, "max_context_length": LENGTH, "data_set": "shop", **changed}
    return choose_beginning(
        None if served is None else str(served), rolling, movie_ids=np.array(movie_ids, np.int64), **known
    )


@pytest.mark.slow
def test_an_export_gives_back_what_its_model_learnt(served) -> None:
    folder, model = served
    learnt = begin(folder, [1, 2]).learnt
    expected = weights_of(model)
    assert learnt.weights.keys() == expected.keys()
    for name, weight in expected.items():
        np.testing.assert_array_equal(learnt.weights[name], weight)
    assert sorted(learnt.movie_ids.tolist()) == [*range(1, 11), 77, 78]
    assert learnt.span == 5


@pytest.mark.slow
def test_movies_that_vanished_are_recommended_as_before_and_stand_behind_the_others(served) -> None:
    import tensorflow as tf

    folder, _ = served
    loaded = tf.saved_model.load(str(folder))
    asked = loaded.signatures["similar"](movie_id=tf.constant([77], tf.int64))
    assert 77 not in asked["movie_id"].numpy()
    assert asked["score"].numpy()[0, 0] > 0, "the movie is unknown"
    assert (folder / "assets" / "movie_id").read_text().split()[-2:] == ["77", "78"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param(
            {"model": TOWERS.model_copy(update={"gru_units": None})}, "model.gru_units was 2 and is None", id="towers"
        ),
        pytest.param({"max_context_length": 5}, "max_context_length was 4 and is 5", id="contexts"),
        pytest.param({"data_set": "club"}, "the served model is of shop, and the data are of club", id="data"),
        pytest.param({"rolling": RollingSettings(warm=False)}, "rolling.warm is off", id="setting"),
        pytest.param({"cold": "a cold training was due"}, "a cold training was due", id="due"),
        pytest.param(
            {"revisions": {1: 1, 5: 2, 6: 1}},
            "the served model learnt from users who were forgotten since (spans 1, 5)",
            id="forgotten users",
        ),
    ],
)
def test_what_does_not_fit_begins_cold_and_says_why(served, changed, reason) -> None:
    beginning = begin(served[0], [1, 2, 3], **changed)
    assert beginning.learnt is None
    assert beginning.record.start == "cold"
    assert beginning.record.reason == reason
    assert (beginning.record.rows_kept, beginning.record.rows_new) == (0, 3)


@pytest.mark.slow
def test_another_dropout_starts_warm(served) -> None:
    assert begin(served[0], [1, 2], model=TOWERS.model_copy(update={"dropout": 0.7})).record.start == "warm"


def test_what_a_model_learnt_from_is_outdated_once_a_span_has_another_revision():
    record = TrainingRecord(model={}, start="warm", rows_new=0, span=4, spans=((2, 1), (3, 0), (4, 0)))
    assert record.outdated({}) == record.outdated({1: 5, 2: 1, 9: 1}) == []
    assert record.outdated({2: 2, 3: 1}) == [2, 3]
    # A record of an earlier version says its newest span alone.
    assert record.model_copy(update={"spans": ()}).outdated({1: 1, 4: 1, 5: 1}) == [1, 4]
    assert record.model_copy(update={"spans": (), "span": None}).outdated({1: 1}) == []


@pytest.mark.slow
def test_a_warm_model_has_learnt_from_what_the_one_that_it_starts_from_has(served) -> None:
    record = begin(served[0], [1, 2], spans={5: 0, 6: 2}).record
    assert (record.start, record.span) == ("warm", 6)
    assert record.spans == ((1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 2))
    cold = begin(served[0], [1, 2], spans={5: 1, 6: 2}, revisions={5: 1}).record
    assert (cold.start, cold.spans) == ("cold", ((5, 1), (6, 2)))


def test_without_a_served_model_a_training_begins_cold_and_says_so() -> None:
    assert begin(None, [1, 2]).record.reason == "no model is served yet"
    assert begin(None, [1, 2], rolling=None).record.reason is None


@pytest.mark.slow
def test_weights_that_are_gone_begin_cold(served, tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).parent.mkdir()
    (tmp_path / RECORD_FILE).write_text(read_record(served[0]).model_dump_json())
    assert begin(tmp_path, [1, 2]).record.reason.startswith("the served model's variables can't be read")


@pytest.mark.slow
def test_rows_are_counted_and_movies_that_vanished_are_kept_as_long_as_the_setting_says(served) -> None:
    movie_ids = [*range(3, 11), 77, 99]
    kept = begin(served[0], movie_ids, span=7, rolling=RollingSettings(keep_vanished=2))
    assert sorted(kept.vanished.tolist()) == [1, 2, 78]
    record = kept.record
    assert (record.rows_kept, record.rows_new, record.rows_vanished, record.rows_dropped) == (12, 1, 3, 0)
    assert dict(record.last_seen) == {1: 5, 2: 5, 78: 5}
    late = begin(served[0], movie_ids, span=8, rolling=RollingSettings(keep_vanished=2))
    assert late.vanished.tolist() == []
    assert late.record.rows_dropped == 3


@given(
    st.lists(st.sets(st.integers(1, 9), min_size=1), min_size=1, max_size=8),
    st.integers(0, 3),
)
def test_a_vocabulary_only_grows_within_its_range(ranges: list[set[int]], keep: int) -> None:
    """Span by span, the vocabulary is the range's movies and those that a range of the last spans held."""
    served: list[int] = []
    training = None
    for span, held in enumerate(ranges, 1):
        movie_ids = np.array(sorted(held), np.int64)
        gone = last_seen_in(training, np.array(served, np.int64), movie_ids)
        kept = {movie_id: seen for movie_id, seen in gone.items() if span - seen <= keep}
        served = [*movie_ids.tolist(), *kept]
        training = TrainingRecord(model={}, start="warm", rows_new=0, span=span, last_seen=tuple(kept.items()))
        recent = ranges[max(span - 1 - keep, 0) : span]
        assert set(served) == set().union(*recent)
        assert len(served) == len(set(served))


def plain_map(described: np.ndarray, rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Fit one column after the other as an ordinary least-squares problem with rows for the ridge."""
    features = described.shape[1]
    found = np.zeros((len(asked), rows.shape[1]))
    for column in range(rows.shape[1]):
        left = np.concatenate([described, math.sqrt(RIDGE) * np.eye(features)])
        right = np.concatenate([rows[:, column], np.zeros(features)])
        weights = np.linalg.lstsq(left, right, rcond=None)[0]
        fitted = described @ weights
        found[:, column] = fitted.mean() + (asked @ weights - fitted.mean()) * rows[:, column].std() / fitted.std()
    return found


@pytest.fixture
def grown():
    """Ten known movies and two new ones: 11 is watched after known movies, 12 after nobody but itself."""
    random = np.random.default_rng(4)
    learnt = Learnt(np.arange(1, 11), weights_of(model_of(10)))
    context = random.integers(1, 11, (60, LENGTH)).astype(np.int32)
    label = np.where(random.random(60) < 0.2, 11, random.integers(1, 11, 60)).astype(np.int32)
    movie_ids = np.array([*range(10, 0, -1), 100, 200])
    years = random.integers(1960, 2010, 12)
    genres = [[("Drama",), ("Comedy", "Drama"), ()][movie % 3] for movie in range(12)]
    windows = Windows(context, label)
    return learnt, movie_ids, windows, years, genres


@pytest.mark.parametrize("new_rows", ["counts", "features", "zeros"])
def test_known_movies_keep_their_rows_wherever_they_stand(grown, new_rows) -> None:
    learnt, movie_ids, windows, years, genres = grown
    weights = grown_weights(learnt, movie_ids, windows, years, genres, new_rows)
    np.testing.assert_array_equal(weights[CANDIDATES][:10], learnt.weights[CANDIDATES][::-1])
    np.testing.assert_array_equal(weights[EMBEDDING][1:11], learnt.weights[EMBEDDING][:0:-1])
    np.testing.assert_array_equal(weights[EMBEDDING][0], learnt.weights[EMBEDDING][0])
    for name in learnt.weights.keys() - {CANDIDATES, EMBEDDING}:
        np.testing.assert_array_equal(weights[name], learnt.weights[name])
    model = model_of(12)
    assign_weights(model, weights)
    for name, weight in weights_of(model).items():
        np.testing.assert_array_equal(weight, weights[name])


def test_the_ablation_begins_new_movies_with_zeros(grown) -> None:
    weights = grown_weights(*grown, "zeros")
    np.testing.assert_array_equal(weights[CANDIDATES][10:], 0)
    np.testing.assert_array_equal(weights[EMBEDDING][11:], 0)


def test_a_movie_that_stands_beside_none_begins_as_genres_and_year_say(grown) -> None:
    learnt, _, _, years, genres = grown
    described = describe(years, genres)
    expected = plain_map(described[:10], learnt.weights[CANDIDATES][::-1].astype(float), described[10:])
    for new_rows, movies in (("counts", [1]), ("features", [0, 1])):
        weights = grown_weights(*grown, new_rows)
        np.testing.assert_allclose(weights[CANDIDATES][10:][movies], expected[movies], rtol=1e-4, atol=1e-5)


def test_a_movie_with_counts_begins_as_the_movies_beside_it_say(grown) -> None:
    learnt, _, windows, years, genres = grown
    information = mutual_information(windows, 12).toarray()
    rows = learnt.weights[EMBEDDING][:0:-1].astype(float)
    beside = np.zeros((12, rows.shape[1]))
    for movie in range(12):
        others = [other for other in range(10) if other != movie]
        total = sum(information[movie, other] for other in others)
        if total:
            beside[movie] = sum(information[movie, other] * rows[other] for other in others) / total
    counts = np.array([np.sum(windows.label == movie + 1) for movie in range(12)])
    described = np.column_stack([beside, np.log(1 + counts), describe(years, genres)])
    expected = plain_map(described[:10], learnt.weights[CANDIDATES][::-1].astype(float), described[10:11])
    weights = grown_weights(*grown, "counts")
    np.testing.assert_allclose(weights[CANDIDATES][10], expected[0], rtol=1e-4, atol=1e-5)


def test_what_movies_are_described_by() -> None:
    described = describe(np.array([2010, 0]), [("Drama", "Comedy"), ("Western",)])
    np.testing.assert_array_equal(described, [[1, 1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0, 1]])


def test_a_training_begins_with_the_weights_that_it_is_given(grown) -> None:
    learnt, _, windows, _, _ = grown
    train = windows.take(windows.label <= 10)
    model = new_model(train, 10, TOWERS, TrainingSettings(), steps_per_epoch=1, start=learnt.weights)
    for name, weight in weights_of(model).items():
        np.testing.assert_array_equal(weight, learnt.weights[name])


@pytest.mark.parametrize(
    ("replay", "older"),
    [
        pytest.param(0.0, 0, id="none"),
        pytest.param(0.5, 2, id="rounded down"),
        pytest.param(9.0, 15, id="as many as there are"),
    ],
)
def test_a_warm_training_takes_all_new_windows_and_some_older_ones(replay, older) -> None:
    windows = Windows(np.zeros((20, LENGTH), np.int32), np.arange(20, dtype=np.int32))
    taken = windows_to_learn(windows, np.arange(20) >= 15, replay, seed=1).label.tolist()
    assert taken[-5:] == [15, 16, 17, 18, 19]
    assert len(set(taken)) == len(taken) == 5 + older


def test_where_nothing_is_new_all_windows_are_taken() -> None:
    windows = Windows(np.zeros((20, LENGTH), np.int32), np.arange(20, dtype=np.int32))
    assert len(windows_to_learn(windows, np.zeros(20, bool), 1.0, seed=1)) == 20


def test_text_ids_stand_in_the_vocabularys_file_as_the_transform_step_writes_them() -> None:
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known"
        known.write_bytes(b"=a\n=b\n")
        grown = Vocabulary(str(known), np.array([b"a", b"b"])).with_more(np.array([b"longer", b""]), f"{folder}/more")
        assert Path(grown.file).read_bytes() == b"=a\n=b\n=longer\n=\n"
        assert grown.movie_ids.tolist() == [b"a", b"b", b"longer", b""]
