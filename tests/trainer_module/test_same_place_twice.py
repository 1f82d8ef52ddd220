"""A process that trains twice, the second time where the first's files lay, uses nothing of the first."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import analyse

from data.features import CONTEXT_LENGTH, CONTEXT_MOVIE_ID, LABEL_MOVIE_ID
from trainer_module.model import NextMovieModel
from trainer_module.settings import ModelSettings
from trainer_module.signatures import ServingModel

pytestmark = pytest.mark.slow

MOVIES = 12


def test_the_vocabulary_of_a_file_that_was_replaced_is_the_new_one(tmp_path):
    for first_id in (1, 501):
        shutil.rmtree(tmp_path / "transform", ignore_errors=True)
        transform_output = analyse(tmp_path, MOVIES, first_id=first_id)
        model = NextMovieModel(MOVIES, 10, ModelSettings(embedding_dim=8))
        serving = ServingModel(model, transform_output, np.arange(MOVIES), 10)
        ids = np.arange(first_id, first_id + MOVIES)
        places = serving._place(tf.constant(ids, tf.int64)).numpy()
        assert sorted(places.tolist()) == list(range(MOVIES))
        layer = transform_output.transform_features_layer()
        windows = {CONTEXT_MOVIE_ID: np.tile(ids[:, None], 10), LABEL_MOVIE_ID: ids[:, None]}
        windows[CONTEXT_LENGTH] = np.full((MOVIES, 1), 10)
        transformed = layer({name: tf.constant(values, tf.int64) for name, values in windows.items()})
        assert transformed["label_movie_index"].numpy().ravel().tolist() == (1 + places).tolist()
