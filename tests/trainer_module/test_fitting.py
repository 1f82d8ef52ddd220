"""How a model is fitted: schedule, watching, and what a seed fixes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from data.errors import InputError
from trainer_module.dataset import Windows, hold_out
from trainer_module.model import NextMovieModel
from trainer_module.settings import ModelSettings, TrainingSettings
from trainer_module.training import (
    HISTORY_FILE,
    WATCHED_METRIC,
    fit,
    make_optimizer,
    one_cycle,
    validation_metrics,
    validation_recall,
)

MOVIES, LENGTH = 60, 3
MODEL = ModelSettings(embedding_dim=8, dropout=0.1)
TRAINING = TrainingSettings(epochs=6, batch_size=64, learning_rate=0.02, validation_fraction=0.2, patience=6, seed=11)


def make_windows(count: int = 1500) -> Windows:
    """Make windows whose label follows the last movie in the vocabulary, save for one in ten."""
    random = np.random.default_rng(0)
    context = random.integers(1, MOVIES + 1, (count, LENGTH)).astype(np.int32)
    context[: count // 4, -1] = 0
    last = np.where(context[:, -1] > 0, context[:, -1], context[:, -2])
    label = np.where(random.random(count) < 0.1, random.integers(1, MOVIES + 1, count), last % MOVIES + 1)
    return Windows(context, label.astype(np.int32))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(0, 0.0, id="starts at zero"),
        pytest.param(5, 0.1, id="half of the way up after a twentieth"),
        pytest.param(10, 0.2, id="stands at the peak after a tenth"),
        pytest.param(55, 0.1, id="half of the way down in the middle of the rest"),
        pytest.param(100, 0.0, id="ends at zero"),
        pytest.param(120, 0.0, id="stays at zero"),
    ],
)
def test_one_cycle_by_hand(step, expected):
    assert float(one_cycle(0.2, 100)(tf.constant(step))) == pytest.approx(expected, abs=1e-6)


def test_the_settings_name_the_optimiser():
    adamw = make_optimizer(TrainingSettings(epochs=3, weight_decay=0.5), steps_per_epoch=20)
    assert isinstance(adamw, keras.optimizers.AdamW)
    assert adamw.weight_decay == 0.5
    tutorial = make_optimizer(TrainingSettings(optimizer="adagrad", schedule="constant", learning_rate=0.1), 20)
    assert isinstance(tutorial, keras.optimizers.Adagrad)
    assert float(tutorial.learning_rate) == pytest.approx(0.1)


def test_the_cycle_spans_all_epochs():
    optimizer = make_optimizer(TrainingSettings(epochs=3, learning_rate=0.4), steps_per_epoch=20)
    variable = tf.Variable([1.0])
    rates = []
    for _ in range(60):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply_gradients([(tf.constant([0.0]), variable)])
    # An optimiser shows the rate of the step before.
    assert rates.index(max(rates)) == 1 + 6
    assert max(rates) == pytest.approx(0.4)
    assert float(optimizer.learning_rate) < 0.001


@pytest.mark.parametrize("k", [1, 3])
def test_validation_recall_is_the_share_of_labels_among_the_first_k(k):
    keras.utils.set_random_seed(1)
    model = NextMovieModel(MOVIES, LENGTH, MODEL)
    windows = make_windows(1500)  # more than are ranked at once
    scores = model.query_tower(windows.context, training=False).numpy() @ model.candidate_tower.catalogue().numpy().T
    hits = 0
    for row, context, label in zip(scores, windows.context, windows.label, strict=True):
        offered = [movie for movie in range(1, MOVIES + 1) if movie not in context]
        best = sorted(offered, key=lambda movie: -row[movie - 1])[:k]
        hits += label in best
    assert validation_recall(model, windows, k) == pytest.approx(hits / len(windows), abs=1e-9)


def test_the_validation_metrics_are_means_over_the_ranks_of_the_labels():
    keras.utils.set_random_seed(1)
    model = NextMovieModel(MOVIES, LENGTH, MODEL)
    windows = make_windows()
    scores = model.query_tower(windows.context, training=False).numpy() @ model.candidate_tower.catalogue().numpy().T
    ranks = []
    for row, context, label in zip(scores, windows.context, windows.label, strict=True):
        offered = [movie for movie in range(1, MOVIES + 1) if movie not in context]
        best = sorted(offered, key=lambda movie: -row[movie - 1])
        ranks.append(best.index(label) + 1 if label in best else None)
    gains = [1 / math.log2(rank + 1) if rank is not None and rank <= 10 else 0 for rank in ranks]
    assert validation_metrics(model, windows) == pytest.approx(
        {
            "val_recall_at_10": sum(rank is not None and rank <= 10 for rank in ranks) / len(ranks),
            "val_recall_at_100": sum(rank is not None for rank in ranks) / len(ranks),
            "val_ndcg_at_10": sum(gains) / len(gains),
        },
        abs=1e-9,
    )


def test_a_label_that_the_context_holds_is_no_hit_in_a_catalogue_of_fewer_than_k_movies():
    model = NextMovieModel(2, LENGTH, MODEL)
    windows = Windows(np.array([[1, 0, 0], [1, 0, 0]], np.int32), np.array([1, 2], np.int32))
    assert validation_recall(model, windows, k=10) == 0.5


def test_the_tutorials_loss_is_fitted_too():
    settings = MODEL.model_copy(update={"loss": "in_batch"})
    once = TRAINING.model_copy(update={"epochs": 1, "optimizer": "adagrad", "learning_rate": 0.1})
    windows = make_windows()
    model = fit(windows, MOVIES, settings, once)
    assert validation_recall(model, windows, k=10) > 2 * 10 / MOVIES


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> tuple[NextMovieModel, dict[str, list[float]]]:
    folder = tmp_path_factory.mktemp("logs")
    model = fit(make_windows(), MOVIES, MODEL, TRAINING, str(folder))
    assert list(folder.glob("**/events.out.tfevents.*")), "TensorBoard has nothing to show"
    return model, json.loads((folder / HISTORY_FILE).read_text())


def test_a_model_learns_what_follows_what(fitted):
    model, curves = fitted
    assert curves[WATCHED_METRIC][0] < 0.6 < 0.85 < curves[WATCHED_METRIC][-1]  # one in ten can't be known
    assert curves["loss"][-1] < 0.6 * curves["loss"][0]
    # By chance 0.02 and 0.05.
    assert validation_recall(model, make_windows(), k=1) > 0.3
    assert validation_recall(model, make_windows(), k=3) > 0.6


def test_an_epochs_loss_is_the_mean_over_its_batches(tmp_path):
    still = TRAINING.model_copy(update={"epochs": 1, "learning_rate": 1e-12, "validation_fraction": 0.0})
    undisturbed = MODEL.model_copy(update={"dropout": 0.0})
    windows = make_windows(64 * 11)
    model = fit(windows, MOVIES, undisturbed, still, str(tmp_path))
    expected = float(model.compute_loss((tf.constant(windows.context), tf.constant(windows.label))))
    assert json.loads((tmp_path / HISTORY_FILE).read_text())["loss"] == [pytest.approx(expected, rel=1e-4)]


def test_with_patience_the_best_epochs_weights_are_kept(fitted):
    model, curves = fitted
    _, held_out = hold_out(make_windows(), TRAINING.validation_fraction, TRAINING.seed)
    assert validation_recall(model, held_out) == pytest.approx(max(curves[WATCHED_METRIC]), abs=1e-6)


def test_without_patience_all_passes_are_taken_and_the_last_weights_kept(tmp_path):
    # Labels that are popular or not, whatever stands before them: the first passes learn that, and the later ones learn
    # their windows by heart, which is worse for others.
    random = np.random.default_rng(0)
    context = random.integers(1, MOVIES + 1, (400, LENGTH)).astype(np.int32)
    windows = Windows(context, np.minimum(random.geometric(0.1, 400), MOVIES).astype(np.int32))
    learns_by_heart = MODEL.model_copy(update={"embedding_dim": 32, "dropout": 0.0})
    all_passes = TRAINING.model_copy(
        update={
            "patience": None,
            "epochs": 10,
            "learning_rate": 0.05,
            "schedule": "constant",
            "validation_fraction": 0.5,
        }
    )
    model = fit(windows, MOVIES, learns_by_heart, all_passes, str(tmp_path))
    curve = json.loads((tmp_path / HISTORY_FILE).read_text())[WATCHED_METRIC]
    assert len(curve) == 10
    assert max(curve) > curve[-1] + 0.05, "the last pass is as good as the best one, so that nothing is told apart"
    _, held_out = hold_out(windows, all_passes.validation_fraction, all_passes.seed)
    assert validation_recall(model, held_out) == pytest.approx(curve[-1], abs=1e-6)


def test_the_seed_fixes_the_model(fitted):
    model, _ = fitted
    again = fit(make_windows(), MOVIES, MODEL, TRAINING)
    other = fit(make_windows(), MOVIES, MODEL, TRAINING.model_copy(update={"seed": 12, "epochs": 1}))
    for weight, same in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(weight, same, atol=1e-4)
    table, other_table = model.candidate_tower.catalogue(), other.candidate_tower.catalogue()
    assert np.abs(table - other_table).max() > 0.01


def test_training_stops_when_validation_no_longer_improves(tmp_path):
    patient = TRAINING.model_copy(update={"epochs": 50, "patience": 2, "learning_rate": 1e-12})
    fit(make_windows(), MOVIES, MODEL, patient, str(tmp_path))
    assert len(json.loads((tmp_path / HISTORY_FILE).read_text())["loss"]) == 3


def test_without_a_held_out_slice_all_epochs_run(tmp_path):
    fit(
        make_windows(),
        MOVIES,
        MODEL,
        TRAINING.model_copy(update={"epochs": 2, "validation_fraction": 0.0}),
        str(tmp_path),
    )
    curves = json.loads((tmp_path / HISTORY_FILE).read_text())
    assert len(curves["loss"]) == 2
    assert WATCHED_METRIC not in curves


def test_training_stops_at_the_first_loss_that_is_no_number_and_names_what_to_lower(tmp_path):
    steep = TRAINING.model_copy(update={"learning_rate": 1e30, "schedule": "constant"})
    with pytest.raises(
        InputError, match=r"in epoch 1 of 6: .*no number.*: lower training\.learning_rate \(1e\+30 now\)"
    ):
        fit(make_windows(), MOVIES, MODEL, steep, str(tmp_path))
    assert not (tmp_path / HISTORY_FILE).exists()
