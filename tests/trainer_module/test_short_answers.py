"""Answers where few movies are left to recommend: each row's is its own, and filled up at the end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import export_untrained_model

import recommend
from serving.batch_inference import recommend_file
from serving.batch_job import BatchJob
from serving.recommender import Recommender
from trainer_module.signatures import ServingModel

pytestmark = pytest.mark.slow

MOVIES = 130
LOWEST = float(np.finfo(np.float32).min)


class EarlierServingModel(ServingModel):
    """Answers as models of earlier versions do: as many movies as the longest history leaves."""

    def _top(self, scores: tf.Tensor, excluded: tf.Tensor) -> dict[str, tf.Tensor]:
        most = tf.reduce_max(tf.reduce_sum(tf.cast(excluded, tf.int32), axis=1))
        k = tf.minimum(100, self._num_movies() - tf.maximum(most, 0))
        score, column = tf.math.top_k(tf.where(excluded, -np.inf, scores), k=k)
        return {"movie_id": tf.gather(self._movie_id, column), "score": score}


def export(tmp_path_factory: pytest.TempPathFactory, num_movies: int) -> Path:
    return export_untrained_model(tmp_path_factory.mktemp("export") / "model", num_movies)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export(tmp_path_factory, MOVIES)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return export(tmp_path_factory, 12)


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> Path:
    return export(tmp_path_factory, 1)


def ask(folder: Path, histories: list[list[int]], signature: str = "serving_default") -> tuple[np.ndarray, np.ndarray]:
    longest = max(map(len, histories))
    padded = np.array([history + [0] * (longest - len(history)) for history in histories], np.int64)
    answer = tf.saved_model.load(str(folder)).signatures[signature](context_movie_id=tf.constant(padded))
    return answer["movie_id"].numpy(), answer["score"].numpy()


def movies_but(*left: int, num_movies: int = MOVIES) -> list[int]:
    return [movie for movie in range(1, num_movies + 1) if movie not in left]


def test_an_answer_does_not_depend_on_who_else_asks(model):
    histories = [[5, 9], movies_but(4, 7, 11), list(range(1, 91))]

    together_ids, together_scores = ask(model, histories)

    assert (together_ids > 0).sum(axis=1).tolist() == [100, 3, 40]
    for row, history in enumerate(histories):
        alone_ids, alone_scores = ask(model, [history])
        assert together_ids[row].tolist() == alone_ids[0].tolist()
        np.testing.assert_allclose(together_scores[row], alone_scores[0], rtol=1e-5, atol=1e-5)


def test_what_is_missing_of_a_hundred_is_filled_up_at_the_end_with_movie_zero_and_the_lowest_score(model):
    ids, scores = ask(model, [movies_but(4, 7, 11)])

    assert ids.shape == scores.shape == (1, 100)
    assert set(ids[0, :3].tolist()) == {4, 7, 11}
    assert (np.abs(scores[0, :3]) < 1e6).all()
    assert ids[0, 3:].tolist() == [0] * 97
    assert scores[0, 3:].tolist() == [LOWEST] * 97


def test_an_answer_that_is_filled_up_is_legal_json(model):
    _, scores = ask(model, [movies_but()])

    text = json.dumps(scores.tolist(), allow_nan=False)

    assert np.array(json.loads(text), np.float32).tolist() == [[LOWEST] * 100]


def test_answers_of_a_small_catalogue_are_as_long_as_the_catalogue(small):
    assert ask(small, [[]])[0].shape == (1, 12)
    assert ask(small, [[3, 4]])[0].shape == (1, 12)
    ids, _ = ask(small, [[3, 4]], "include_seen")
    assert sorted(ids[0].tolist()) == list(range(1, 13))


def test_the_recommender_returns_exactly_the_movies_that_are_left(model):
    recommender = Recommender.load(model)

    short, full, none = recommender.recommend_batch([movies_but(4, 7), [5], movies_but()], k=100)

    assert {movie.movie_id for movie in short} == {4, 7}
    assert len(full) == 100
    assert none == []
    assert [movie.rank for movie in short] == [1, 2]


def test_a_catalogue_of_one_movie_offers_it_until_it_was_watched(single):
    recommender = Recommender.load(single)

    assert [movie.movie_id for movie in recommender.recommend([], k=10)] == [1]
    assert recommender.recommend([1], k=10) == []
    assert [movie.movie_id for movie in recommender.recommend([1], k=10, include_seen=True)] == [1]
    assert recommender.similar(1, k=10) == []


def test_similar_movies_are_all_others_where_there_are_few(small):
    movies = [movie.movie_id for movie in Recommender.load(small).similar(5, k=100)]

    assert sorted(movies) == movies_but(5, num_movies=12)


def test_a_batch_file_gets_for_each_history_the_movies_that_are_left(model, tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    histories = [[5], movies_but(4, 7), movies_but()]
    source.write_text("".join(json.dumps(history) + "\n" for history in histories))

    recommend_file(Recommender.load(model), BatchJob(source, target, k=20))

    answers = [json.loads(line) for line in target.read_text().splitlines()]
    assert [len(answer["movie_id"]) for answer in answers] == [20, 2, 0]
    assert [len(answer["score"]) for answer in answers] == [20, 2, 0]
    assert set(answers[1]["movie_id"]) == {4, 7}


def test_a_history_of_the_whole_catalogue_is_answered_in_one_clear_line(small, capsys):
    code = recommend.main(["--model", str(small), "--history", ",".join(map(str, movies_but(num_movies=12)))])

    said = capsys.readouterr().out
    assert code == 0
    assert said.count("\n") == 1
    assert said.startswith("no movie is left to recommend: ")
    assert str(small) in said


def test_a_history_of_the_whole_catalogue_is_an_empty_list_in_json(small, capsys):
    code = recommend.main(["--model", str(small), "--json", "--history", " ".join(map(str, range(1, 13)))])

    assert code == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_movie_that_is_the_only_one_has_none_like_it_which_is_said_in_one_line(single, capsys):
    code = recommend.main(["--model", str(single), "--similar-to", "1"])

    said = capsys.readouterr().out
    assert code == 0
    assert said.count("\n") == 1
    assert said.startswith("no movie is left to recommend: ")


def test_answers_of_models_of_earlier_versions_are_still_understood(tmp_path):
    folder = export_untrained_model(tmp_path / "model", MOVIES, make_serving=EarlierServingModel)
    recommender = Recommender.load(folder)

    assert ask(folder, [movies_but(4, 7)])[0].shape == (1, 2)
    assert len(recommender.recommend([5], k=100)) == 100
    assert {movie.movie_id for movie in recommender.recommend(movies_but(4, 7), k=100)} == {4, 7}
    assert recommender.recommend(movies_but(), k=100) == []
    assert len(recommender.similar(5, k=100)) == 100
