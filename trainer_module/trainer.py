"""The function that TFX's Trainer calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow_transform as tft

from data.errors import InputError
from data.examples.manifest import Manifest
from data.identity import DataIdentity
from data.releases.catalogue import CATALOGUE_FILE
from serving.artifact_files import example_files, read_catalogue, read_manifest, timeline_files
from trainer_module.dataset import Windows, read_windows
from trainer_module.export import save_model
from trainer_module.popularity import counts_by_period, recent_popularity
from trainer_module.preprocessing import read_vocabulary
from trainer_module.settings import ModelSettings, TrainingSettings
from trainer_module.signatures import ServingModel
from trainer_module.tensorboard_logs import write_projector
from trainer_module.timelines import TrainTimelines, read_timelines
from trainer_module.training import fit

if TYPE_CHECKING:
    from tfx import v1 as tfx


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Train on the train split, and export the model with its signatures.

    Parameters
    ----------
    fn_args
        TFX's arguments. `train_files` names the train split's folder, beside which the catalogue lies;
        `custom_config` holds the settings `model` and `training` as plain dictionaries. `eval_files` is not
        read: the eval split is the Evaluator's.
    """
    model_settings = ModelSettings.model_validate(fn_args.custom_config["model"])
    training = TrainingSettings.model_validate(fn_args.custom_config["training"])
    transform_output = tft.TFTransformOutput(fn_args.transform_output)
    # TFX gives a pattern of the files, `<examples>/Split-train/*`.
    examples_root = fn_args.train_files[0].rsplit("/", 2)[0]
    manifest = read_manifest(examples_root)
    movie_ids = read_vocabulary(transform_output, manifest.pad_movie_id)
    max_context_length = manifest.options.max_context_length
    train: Windows | TrainTimelines
    if training.form == "chunks":
        train = read_timelines(timeline_files(examples_root), movie_ids, max_context_length, manifest.pad_movie_id)
        labels = train.movies[train.is_label]
    else:
        train = read_windows(example_files(examples_root, "train"), transform_output)
        labels = train.label
    _check_complete(len(train), manifest, examples_root)
    catalogue_file = f"{examples_root}/{CATALOGUE_FILE}"
    catalogue = read_catalogue(catalogue_file)
    counts = counts_by_period(catalogue, movie_ids)
    years, genres = catalogue.years_and_genres(movie_ids)
    model = fit(train, len(movie_ids), model_settings, training, fn_args.model_run_dir)
    write_projector(fn_args.model_run_dir, model.candidate_tower.catalogue().numpy(), movie_ids, catalogue)
    serving = ServingModel(
        model,
        transform_output,
        label_counts=np.bincount(labels, minlength=len(movie_ids) + 1)[1:],
        max_context_length=max_context_length,
        recent_popularity=None if counts is None else recent_popularity(counts),
        pad=manifest.pad_movie_id,
        years=years,
        genres=genres,
    )
    save_model(
        serving,
        catalogue_file,
        movie_ids,
        fn_args.serving_model_dir,
        data=DataIdentity.of(manifest),
        words=manifest.options.wording,
    )


def _check_complete(num_labels: int, manifest: Manifest, examples_root: str) -> None:
    """Refuse to train on fewer examples than were generated: a shard that is gone raises no error of its own."""
    expected = manifest.counts.train
    if num_labels != expected:
        raise InputError(
            f"{examples_root} holds {num_labels:,} train examples in place of {expected:,}: "
            "run again with --no-cache, which makes them anew",
            code="R05",
        )
