"""Fitting the model."""

from __future__ import annotations

import functools
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from data.errors import InputError
from trainer_module.chunked_model import ChunkedNextMovieModel, asked, watched_before
from trainer_module.dataset import Windows, hold_out, training_batches
from trainer_module.model import NextMovieModel, assign_weights
from trainer_module.ppmi_init import counted_embeddings
from trainer_module.ranking import rank_of_label, seen_mask
from trainer_module.settings import ModelSettings, TrainingSettings
from trainer_module.tensorboard_logs import write_hyperparameters
from trainer_module.timelines import TrainTimelines, chunk_batches, whole_batches

HISTORY_FILE = "history.json"
"""Learning curves, one list of floats for each figure, written beside the TensorBoard logs."""

WATCHED_METRIC = "val_recall_at_10"
"""Recall@10 on the held-out train labels, what the model reads left out."""

_NOT_OFFERED = np.iinfo(np.int64).max

_RANK_BATCH = 1024
_WARM_UP_SHARE = 0.1

_STEPS_PER_EXECUTION = 8
"""Keras's own work between two steps would take a tenth of a small model's time."""

logger = logging.getLogger("next_movie.trainer")


def one_cycle(peak: float, total_steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Return a linear rise to the peak over the first tenth of the steps, then half a cosine down to zero.

    After L. N. Smith, "Super-Convergence", 2017 (arXiv:1708.07120), with the cosine that fast.ai made usual.
    """
    warm_up = _WARM_UP_SHARE * total_steps
    return keras.optimizers.schedules.CosineDecay(0.0, total_steps - warm_up, warmup_target=peak, warmup_steps=warm_up)


def make_optimizer(settings: TrainingSettings, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Return the optimiser that the settings name."""
    rate: Any = settings.learning_rate
    if settings.schedule == "one_cycle":
        rate = one_cycle(settings.learning_rate, settings.epochs * steps_per_epoch)
    if settings.optimizer == "adagrad":
        return keras.optimizers.Adagrad(rate)
    return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)


def validation_recall(model: NextMovieModel, held_out: Windows | TrainTimelines, k: int = 10) -> float:
    """Return recall@k on labels that were held out of train.

    Parameters
    ----------
    model
        The towers as they stand.
    held_out
        At least one label, as `queries_of` gives them.
    k
        Length of the list in which the label has to stand, what the model reads left out.
    """
    return float(np.mean(validation_ranks(model, held_out) <= k))


def validation_metrics(model: NextMovieModel, held_out: Windows | TrainTimelines) -> dict[str, float]:
    """Return recall@10, recall@100 and NDCG@10 on labels that were held out of train, named as Keras names them."""
    ranks = validation_ranks(model, held_out)
    gains = np.where(ranks <= 10, 1 / np.log2(ranks + 1.0), 0)
    return {
        WATCHED_METRIC: float(np.mean(ranks <= 10)),
        "val_recall_at_100": float(np.mean(ranks <= 100)),
        "val_ndcg_at_10": float(np.mean(gains)),
    }


def queries_of(held_out: Windows | TrainTimelines, settings: ModelSettings) -> Windows | TrainTimelines:
    """Return labels that were held out with what a model of these settings reads before each."""
    if isinstance(held_out, Windows) or settings.reads == "history":
        return held_out
    return held_out.windows()


def validation_ranks(model: NextMovieModel, held_out: Windows | TrainTimelines) -> np.ndarray:
    """Return the labels' ranks without the movies that the model reads, int64 `[num_labels]`, or `_NOT_OFFERED`."""
    candidates = model.candidate_tower.catalogue()
    ranks = []
    if isinstance(held_out, Windows):
        for start in range(0, len(held_out), _RANK_BATCH):
            context = tf.constant(held_out.context[start : start + _RANK_BATCH])
            label = tf.constant(held_out.label[start : start + _RANK_BATCH])
            scores = tf.matmul(model.query_tower(context, training=False), candidates, transpose_b=True)
            ranks.append(rank_of_label(scores, label - 1, seen_mask(context, candidates.shape[0])).numpy())
    else:
        rank = tf.function(functools.partial(_ranks_along, model, candidates), reduce_retracing=True)
        batches = whole_batches(held_out, candidates.shape[0])
        ranks.extend(rank(*map(tf.constant, batch)).numpy() for batch in batches)
    found = np.concatenate(ranks)
    # A label that can't be offered ranks behind all movies, which in a small catalogue is not far behind.
    return np.where(found > candidates.shape[0], _NOT_OFFERED, found)


def _ranks_along(
    model: NextMovieModel, candidates: tf.Tensor, movies: tf.Tensor, is_label: tf.Tensor, first: tf.Tensor
) -> tf.Tensor:
    """Return the ranks of a batch of `whole_batches`, each label asked for by all that was watched before it."""
    places, label = asked(movies, is_label)
    scores = tf.matmul(model.query_tower.at(movies, places), candidates, transpose_b=True)
    return rank_of_label(scores, label - 1, watched_before(first, places)[:, 1:])


class _StopWithoutNumbers(keras.callbacks.Callback):
    """Stops training, with an `InputError`, at the first loss that is no number and at last weights that are none."""

    def __init__(self, training: TrainingSettings) -> None:
        super().__init__()
        self._training = training
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None and not math.isfinite(logs["loss"]):
            raise self._error(f"the loss is no number ({logs['loss']})")

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        # The last step's loss is that of the weights before it.
        if not all(tf.reduce_all(tf.math.is_finite(weight)) for weight in self.model.trainable_variables):
            raise self._error("weights are no numbers")

    def _error(self, fault: str) -> InputError:
        settings = ["learning_rate"] + (["weight_decay"] if self._training.optimizer == "adamw" else [])
        named = " or ".join(f"training.{name} ({getattr(self._training, name):g} now)" for name in settings)
        return InputError(
            f"training stopped in epoch {self._epoch} of {self._training.epochs}: {fault}: lower {named}", code="R07"
        )


class _Watch(keras.callbacks.Callback):
    """Adds the validation metrics to the epoch's figures, and logs them."""

    def __init__(self, held_out: Windows | TrainTimelines, epochs: int) -> None:
        super().__init__()
        self._held_out = held_out
        self._epochs = epochs
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is None:
            return
        said = f"epoch {epoch + 1}/{self._epochs}  loss {logs['loss']:.3f}"
        if len(self._held_out):
            logs.update(validation_metrics(self.model, self._held_out))
            said += f"  validation recall@10 {logs[WATCHED_METRIC]:.4f}"
        logger.info("%s  (%.0f s)", said, time.monotonic() - self._started)


def epoch_batches(
    fitted: Windows | TrainTimelines, training: TrainingSettings, histories_of: int | None = None
) -> tf.data.Dataset:
    """Return one epoch of batches in the form that the settings name.

    Parameters
    ----------
    fitted
        What to fit; chunks are made of timelines alone, windows of either.
    training
        The form, the size of a batch, and the seed.
    histories_of
        Size of the vocabulary where the model reads histories; else None.

    Raises
    ------
    TypeError
        Chunks are asked for, of windows.
    """
    if training.form == "windows":
        windows = fitted if isinstance(fitted, Windows) else fitted.windows()
        return training_batches(windows, training.batch_size, seed=training.seed, reshuffle=training.reshuffle)
    if isinstance(fitted, Windows):
        raise TypeError("windows can't be put together to timelines again")
    return chunk_batches(
        fitted,
        training.batch_size,
        training.chunk_length,
        seed=training.seed,
        lead_length=training.lead_length,
        num_movies=histories_of,
    )


def new_model(
    fitted: Windows | TrainTimelines,
    num_movies: int,
    model_settings: ModelSettings,
    training: TrainingSettings,
    steps_per_epoch: int,
    steps_per_execution: int = 1,
    start: Mapping[str, np.ndarray] | None = None,
) -> NextMovieModel:
    """Return a compiled model before its first step.

    Parameters
    ----------
    fitted
        What it will be fitted to; embeddings may start from counts of its labels and the movies before each.
    num_movies
        Size of the vocabulary.
    model_settings, training
        The towers and the way they are fitted.
    steps_per_epoch
        For the schedule of the learning rate.
    steps_per_execution
        How many steps Keras takes at once.
    start
        Weights to start from, as `trainer_module.warm_start` makes them; None to begin anew.
    """
    windows = fitted if isinstance(fitted, Windows) else fitted.windows()
    initial = (
        counted_embeddings(windows, num_movies, model_settings.embedding_dim, training.seed)
        if model_settings.counted_embeddings and start is None
        else None
    )
    kind = ChunkedNextMovieModel if training.form == "chunks" else NextMovieModel
    length = windows.context.shape[1]
    if model_settings.reads == "history":
        # As far as training reads: for what lies further back it would fit no weight.
        length = training.lead_of(length) + training.chunk_length
    model = kind(num_movies, length, model_settings, initial)
    if start is not None:
        assign_weights(model, start)
    model.compile(optimizer=make_optimizer(training, steps_per_epoch), steps_per_execution=steps_per_execution)
    # Built in the first step, the optimiser's variables would have it traced twice.
    model.optimizer.build(model.trainable_variables)
    return model


def fit(
    train: Windows | TrainTimelines,
    num_movies: int,
    model_settings: ModelSettings,
    training: TrainingSettings,
    log_dir: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    start: Mapping[str, np.ndarray] | None = None,
) -> NextMovieModel:
    """Fit a model to the train split.

    Parameters
    ----------
    train
        The train split, as windows or, for either form of training, as timelines. A slice of its labels is held out to
        watch and, with patience, to stop on; the eval split has no place here.
    num_movies
        Size of the vocabulary.
    model_settings, training
        The towers and the way they are fitted.
    log_dir
        For TensorBoard logs, hyper-parameters among them, and `history.json`; None writes none.
    callbacks
        Called by Keras behind our own.
    start
        Weights to start from, as `trainer_module.warm_start` makes them; None to begin anew.

    Returns
    -------
    NextMovieModel
        With the last weights, or with patience those of the best epoch on the held-out slice.

    Raises
    ------
    InputError
        The loss or a weight became infinite or NaN.
    TypeError
        The settings ask for chunks, and `train` is windows.
    """
    keras.utils.set_random_seed(training.seed)
    fitted, validation = hold_out(train, training.validation_fraction, training.seed)
    held_out = queries_of(validation, model_settings)
    batches = epoch_batches(fitted, training, num_movies if model_settings.reads == "history" else None)
    steps_per_epoch = int(batches.cardinality())
    model = new_model(fitted, num_movies, model_settings, training, steps_per_epoch, _STEPS_PER_EXECUTION, start)
    called: list[keras.callbacks.Callback] = [_StopWithoutNumbers(training), _Watch(held_out, training.epochs)]
    if len(held_out) and training.patience is not None:
        called.append(
            keras.callbacks.EarlyStopping(
                monitor=WATCHED_METRIC, mode="max", patience=training.patience, restore_best_weights=True
            )
        )
    if log_dir is not None:
        write_hyperparameters(log_dir, {"model": model_settings, "training": training})
        called.append(keras.callbacks.TensorBoard(log_dir, write_graph=False))
    logger.info(
        "%s labels to fit, %s held out, %s candidates, %s steps an epoch",
        *(f"{count:,}" for count in (len(fitted), len(held_out), num_movies, steps_per_epoch)),
    )
    history = model.fit(batches, epochs=training.epochs, verbose=0, callbacks=[*called, *callbacks])
    if log_dir is not None:
        curves = {name: [float(value) for value in values] for name, values in history.history.items()}
        with tf.io.gfile.GFile(f"{log_dir}/{HISTORY_FILE}", "w") as file:
            json.dump(curves, file, allow_nan=False)
    return model
