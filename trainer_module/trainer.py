"""The function that TFX's Trainer calls."""

from __future__ import annotations

from collections.abc import Sequence
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
from trainer_module.popularity import counts_of_range, recent_popularity
from trainer_module.settings import ModelSettings, RollingSettings, TrainingSettings
from trainer_module.signatures import ServingModel
from trainer_module.tensorboard_logs import write_projector
from trainer_module.timelines import TrainTimelines, read_timelines
from trainer_module.training import fit
from trainer_module.vocabulary import Vocabulary
from trainer_module.warm_start import choose_beginning, grown_weights, windows_to_learn

if TYPE_CHECKING:
    from tfx import v1 as tfx


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Train on the train split, and export the model with its signatures.

    Parameters
    ----------
    fn_args
        TFX's arguments. `train_files` names the train split's folder, beside which the catalogue lies; of a range of
        spans the folder of each, the newest first. `custom_config` holds the settings `model` and `training`, and
        `rolling` where models follow each other, as plain dictionaries; `cold` where training starts from the
        beginning whatever is served: why; `revisions` the numbers and revisions of spans of which a user was forgotten.
        `base_model` is the export to start from, if there is one. `eval_files` is not read: the eval split is the
        Evaluator's.
    """
    model_settings = ModelSettings.model_validate(fn_args.custom_config["model"])
    training = TrainingSettings.model_validate(fn_args.custom_config["training"])
    rolling = fn_args.custom_config.get("rolling")
    rolling = RollingSettings.model_validate(rolling) if rolling is not None else None
    transform_output = tft.TFTransformOutput(fn_args.transform_output)
    # TFX gives a pattern of the files of each artifact, `<examples>/Split-train/*`.
    roots = [pattern.rsplit("/", 2)[0] for pattern in fn_args.train_files]
    manifests = [read_manifest(root) for root in roots]
    manifest = manifests[0]
    max_context_length = manifest.options.max_context_length
    vocabulary = Vocabulary.of(transform_output, manifest.pad_movie_id)
    train: Windows | TrainTimelines
    if training.form == "chunks":
        files = [file for root in roots for file in timeline_files(root)]
        train = read_timelines(files, vocabulary.movie_ids, max_context_length, manifest.pad_movie_id)
        labels = train.movies[train.is_label]
    else:
        files = [file for root in roots for file in example_files(root, "train")]
        train = read_windows(files, transform_output)
        labels = train.label
    beginning = choose_beginning(
        fn_args.base_model,
        rolling,
        model_settings,
        vocabulary.movie_ids,
        max_context_length=max_context_length,
        data_set=manifest.data_set,
        spans={one.span.number: one.span.revision for one in manifests if one.span is not None},
        cold=fn_args.custom_config.get("cold"),
        revisions=dict(fn_args.custom_config.get("revisions", ())),
    )
    vocabulary = vocabulary.with_more(beginning.vanished, f"{fn_args.model_run_dir}/vocabulary")
    movie_ids = vocabulary.movie_ids
    _check_complete(len(train), manifests, ", ".join(roots))
    catalogue_file = f"{roots[0]}/{CATALOGUE_FILE}"
    catalogue = read_catalogue(catalogue_file)
    counts = counts_of_range([read_catalogue(f"{root}/{CATALOGUE_FILE}") for root in roots], movie_ids)
    years, genres = catalogue.years_and_genres(movie_ids)
    lengths = None
    if isinstance(train, TrainTimelines) and model_settings.reads == "history":
        lengths = train.typical_lengths()
    start, learning = None, train
    # Spans have no timelines: a warm training reads windows.
    if beginning.learnt is not None and rolling is not None and isinstance(train, Windows):
        start = grown_weights(beginning.learnt, movie_ids, train, years, genres, rolling.new_rows)
        learning = windows_to_learn(train, _are_new(manifests, beginning.learnt.span), rolling.replay, training.seed)
        training = rolling.of_warm(training)
    model = fit(learning, len(movie_ids), model_settings, training, fn_args.model_run_dir, start=start)
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
        vocabulary=vocabulary,
        history_lengths=lengths,
    )
    save_model(
        serving,
        catalogue_file,
        movie_ids,
        fn_args.serving_model_dir,
        data=DataIdentity.of(manifest),
        words=manifest.options.wording,
        training=beginning.record,
    )


def _span_of(manifest: Manifest) -> int | None:
    """Return the number of the span that examples are of; None where they are of none."""
    return manifest.span.number if manifest.span is not None else None


def _are_new(manifests: Sequence[Manifest], learnt: int | None) -> np.ndarray:
    """Return whether train windows are of spans after the newest that a model learnt from, bool `[num_windows]`."""
    spans = [_span_of(manifest) for manifest in manifests]
    is_new = [learnt is None or span is None or span > learnt for span in spans]
    return np.repeat(is_new, [manifest.counts.train for manifest in manifests])


def _check_complete(num_labels: int, manifests: Sequence[Manifest], examples: str) -> None:
    """Refuse to train on fewer examples than were generated: a shard that is gone raises no error of its own."""
    expected = sum(manifest.counts.train for manifest in manifests)
    if num_labels != expected:
        raise InputError(
            f"{examples} holds {num_labels:,} train examples in place of {expected:,}: "
            "run again with --no-cache, which makes them anew",
            code="R05",
        )
