"""An export of a catalogue's true size, with untrained weights: enough to time answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from data import features
from data.features import CONTEXT_MOVIE_ID, LABEL_MOVIE_ID
from data.releases.catalogue import CATALOGUE_FILE, Catalogue, Movie
from trainer_module.export import save_model
from trainer_module.model import NextMovieModel
from trainer_module.preprocessing import VOCABULARY, preprocessing_fn
from trainer_module.settings import ModelSettings
from trainer_module.signatures import ServingModel

CONTEXT_LENGTH = 10


def dated_drama(movie_id: int) -> Movie:
    """Return a movie that is like all others but for its id."""
    return Movie(movie_id, f"Movie number {movie_id} (1999)", 1999, ("Drama",))


def export_untrained_model(
    folder: Path,
    num_movies: int,
    context_length: int = CONTEXT_LENGTH,
    make_serving: type[ServingModel] = ServingModel,
    first_id: int = 1,
    pad: int = 0,
    make_movie: Callable[[int], Movie] = dated_drama,
    settings: ModelSettings | None = None,
    history_lengths: Mapping[str, int] | None = None,
) -> Path:
    """Write a model of the default size that knows `num_movies` movies from `first_id` on, and return its folder."""
    with tempfile.TemporaryDirectory() as scratch:
        transform_output = analyse(Path(scratch), num_movies, context_length, first_id)
        model = NextMovieModel(num_movies, context_length, settings or ModelSettings())
        catalogue_file = Path(scratch) / CATALOGUE_FILE
        catalogue = Catalogue.of(map(make_movie, range(first_id, first_id + num_movies)))
        catalogue.save(catalogue_file)
        movie_ids = np.array([int(word) for word in transform_output.vocabulary_by_name(VOCABULARY)])
        years, genres = catalogue.years_and_genres(movie_ids)
        serving = make_serving(
            model,
            transform_output,
            np.arange(num_movies),
            context_length,
            pad=pad,
            years=years,
            genres=genres,
            history_lengths=history_lengths,
        )
        save_model(serving, str(catalogue_file), movie_ids, str(folder))
    return folder


def analyse(
    scratch: Path, num_movies: int, context_length: int = CONTEXT_LENGTH, first_id: int = 1
) -> tft.TFTransformOutput:
    """Make the transform graph that the Transform step would."""
    made = _analysed(num_movies, context_length, first_id).name
    return tft.TFTransformOutput(str(shutil.copytree(made, scratch / "transform")))


@cache
def _analysed(num_movies: int, context_length: int, first_id: int) -> tempfile.TemporaryDirectory:
    """Return the folder of a transform graph; TFT takes seconds for one."""
    folder = tempfile.TemporaryDirectory(prefix="transform-graph-")
    spec = {
        CONTEXT_MOVIE_ID: tf.io.FixedLenFeature([context_length], tf.int64),
        LABEL_MOVIE_ID: tf.io.FixedLenFeature([1], tf.int64),
        features.CONTEXT_LENGTH: tf.io.FixedLenFeature([1], tf.int64),
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    windows = [
        {
            CONTEXT_MOVIE_ID: [label] * context_length,
            LABEL_MOVIE_ID: [label],
            features.CONTEXT_LENGTH: [context_length],
        }
        for label in range(first_id, first_id + num_movies)
    ]
    with tempfile.TemporaryDirectory() as temporary, tft_beam.Context(temp_dir=temporary):
        transform_fn = (windows, metadata) | tft_beam.AnalyzeDataset(preprocessing_fn)
        _ = transform_fn | tft_beam.WriteTransformFn(folder.name)
    # WriteTransformFn leaves the metadata of what came in to whoever needs it.
    raw = Path(folder.name) / tft.TFTransformOutput.RAW_METADATA_DIR
    raw.mkdir(exist_ok=True)
    (raw / "schema.pbtxt").write_text(text_format.MessageToString(metadata.schema))
    return folder
