"""A data set in which 0 is a movie like any other: the pad is another value, through all signatures."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import export_untrained_model

from components.serving_check import check_export
from data.features import CONTEXT_MOVIE_ID, LABEL_MOVIE_ID
from serving.recommender import Recommender

pytestmark = pytest.mark.slow

PAD = -1
MOVIES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    model = tmp_path_factory.mktemp("zero") / "model"
    return str(export_untrained_model(model, MOVIES, first_id=0, pad=PAD))


@pytest.fixture(scope="module")
def signatures(folder: str) -> dict:
    return tf.saved_model.load(folder).signatures


def test_a_history_of_movie_zero_is_read_and_pads_are_passed_over(signatures: dict):
    asked = tf.constant([[0, PAD, 5, PAD], [0, 5, PAD, PAD], [5, PAD, PAD, PAD], [PAD] * 4], tf.int64)
    answer = signatures["serving_default"](**{CONTEXT_MOVIE_ID: asked})
    ids, scores = answer["movie_id"].numpy(), answer["score"].numpy()
    np.testing.assert_array_equal(ids[0], ids[1])
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    assert set(ids[0]) == set(range(MOVIES)) - {0, 5} | {PAD}
    assert set(ids[3]) == set(range(MOVIES))


def test_fillers_are_the_pad_and_movie_zero_is_none(folder: str):
    recommender = Recommender.load(folder)
    everything_else, everything = recommender.recommend_batch([list(range(1, MOVIES)), list(range(MOVIES))])
    assert [movie.movie_id for movie in everything_else] == [0]
    assert everything == []
    assert 0 in [movie.movie_id for movie in recommender.similar(5, k=100)]


def test_a_label_of_movie_zero_is_ranked_and_offered(signatures: dict):
    example = tf.train.Example()
    example.features.feature[CONTEXT_MOVIE_ID].int64_list.value.extend([*range(1, 11), PAD])
    example.features.feature[LABEL_MOVIE_ID].int64_list.value.append(0)
    answer = signatures["evaluate"](examples=tf.constant([example.SerializeToString()]))
    assert answer["rank"].numpy()[0] in (1, 2)
    assert set(answer["top_movie_id"].numpy()[0]) == {0, 11, PAD}
    assert answer["pad_movie_id"].numpy().tolist() == [PAD]


def test_the_export_is_found_servable(folder: str):
    assert check_export.main(folder, 10_000)["findings"] == []
