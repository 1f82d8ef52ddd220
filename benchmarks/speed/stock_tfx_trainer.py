"""What the textbook's Trainer calls: the tutorial's model, fed as TFX's tutorials feed theirs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from tfx_bsl.public import tfxio

from pipeline.settings import load_settings
from trainer_module.export import save_model
from trainer_module.model import NextMovieModel
from trainer_module.preprocessing import CONTEXT_MOVIE_INDEX, LABEL_MOVIE_INDEX, VOCABULARY
from trainer_module.signatures import ServingModel
from trainer_module.training import make_optimizer

if TYPE_CHECKING:
    from tfx import v1 as tfx

_SHUFFLED = 10_000
"""Examples in the tutorial's shuffle buffer, which is also `tfxio.TensorFlowDatasetOptions`' default."""

# The project's own trainer tells of its epochs under the same name, so that one clock can watch both.
logger = logging.getLogger("next_movie.trainer")


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Train on transformed examples, and export the model with the project's signatures.

    Parameters
    ----------
    fn_args
        TFX's arguments. `custom_config` holds `catalogue_file`, the path of the data's catalogue, and `epochs`,
        None for the tutorial's own.
    """
    settings = load_settings("tutorial")
    training = settings.training
    if epochs := fn_args.custom_config["epochs"]:
        training = training.model_copy(update={"epochs": epochs})
    transform_output = tft.TFTransformOutput(fn_args.transform_output)
    movie_ids = np.array([int(word) for word in transform_output.vocabulary_by_name(VOCABULARY)])
    keras.utils.set_random_seed(training.seed)
    batches = _cached_batches(fn_args, transform_output, training.batch_size)
    length = batches.element_spec[0].shape[1]
    model = NextMovieModel(len(movie_ids), length, settings.model)
    # Its schedule is constant, which makes the number of steps no matter.
    model.compile(optimizer=make_optimizer(training, steps_per_epoch=1))
    logger.info("%s movies", f"{len(movie_ids):,}")
    model.fit(batches, epochs=training.epochs, verbose=0, callbacks=[_SayEpoch()])
    serving = ServingModel(model, transform_output, _label_counts(batches, len(movie_ids)), length)
    save_model(serving, fn_args.custom_config["catalogue_file"], movie_ids, fn_args.serving_model_dir)


class _SayEpoch(keras.callbacks.Callback):
    """Says that an epoch is over."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logger.info("epoch %d  loss of its last batch %.0f", epoch + 1, (logs or {}).get("loss", float("nan")))


def _cached_batches(
    fn_args: tfx.components.FnArgs, transform_output: tft.TFTransformOutput, batch_size: int
) -> tf.data.Dataset:
    """Return (context int64 `[batch, length]`, label int64 `[batch]`), shuffled, batched and then cached.

    So the tutorial does it: the first epoch's batches come again in each epoch.
    """
    options = tfxio.TensorFlowDatasetOptions(
        batch_size=batch_size, num_epochs=1, shuffle=True, shuffle_buffer_size=_SHUFFLED
    )
    dataset = fn_args.data_accessor.tf_dataset_factory(
        fn_args.train_files, options, transform_output.transformed_metadata.schema
    )
    return dataset.map(
        lambda features: (features[CONTEXT_MOVIE_INDEX], tf.squeeze(features[LABEL_MOVIE_INDEX], axis=1))
    ).cache()


def _label_counts(batches: tf.data.Dataset, num_movies: int) -> np.ndarray:
    """Return how often each movie is a label, int64 `[num_movies]`."""
    labels = np.concatenate([label for _, label in batches.as_numpy_iterator()])
    return np.bincount(labels, minlength=num_movies + 1)[1:]
