"""Models that read whole histories: what they read, what the loss leaves out, and what must not leak into either."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data.examples.shards import TIMELINES
from data.generate import generate
from data.options import GenerateOptions
from trainer_module.chunked_model import ChunkedNextMovieModel, watched_before
from trainer_module.dataset import hold_out
from trainer_module.long_runs import ends_of_runs, last_places
from trainer_module.ranking import rank_of_label
from trainer_module.settings import ModelSettings, TrainingSettings
from trainer_module.timelines import TrainTimelines, chunk_batches, read_timelines, whole_batches
from trainer_module.training import fit, validation_ranks, validation_recall

MOVIES, LENGTH = 40, 5
MODEL = ModelSettings(embedding_dim=6, gru_units=5, dropout=0.0, reads="history")
TRAINING = TrainingSettings(
    form="chunks", chunk_length=4, lead_length=2, batch_size=24, epochs=4, learning_rate=0.02, seed=3
)


def model_of(model_settings: ModelSettings = MODEL) -> ChunkedNextMovieModel:
    """Return a model with random weights everywhere, whose recency mean goes back `LENGTH` movies."""
    model = ChunkedNextMovieModel(MOVIES, LENGTH, model_settings)
    for place, weight in enumerate(model.trainable_variables):
        weight.assign(tf.random.stateless_normal(weight.shape, [place, 7], stddev=0.5))
    return model


def timelines_of(*lengths: int, seed: int = 0) -> TrainTimelines:
    """Draw timelines of the given lengths, in which most movies but the first are labels."""
    random = np.random.default_rng(seed)
    movies = random.integers(1, MOVIES + 1, sum(lengths)).astype(np.int32)
    starts = np.cumsum([0, *lengths[:-1]])
    is_label = random.random(len(movies)) < 0.7
    is_label[starts] = False
    return TrainTimelines(movies, starts, is_label, 3)


def histories_of(timelines: TrainTimelines) -> list[tuple[list[int], int]]:
    """List each label with all movies before it."""
    found = []
    for start, stop in zip(timelines.starts, [*timelines.starts[1:], len(timelines.movies)], strict=True):
        rows = [row for row in range(start, stop) if timelines.is_label[row]]
        found += [(timelines.movies[start:row].tolist(), int(timelines.movies[row])) for row in rows]
    return found


def padded(*histories: list[int]) -> tf.Tensor:
    return tf.ragged.constant(histories, dtype=tf.int32, inner_shape=()).to_tensor()


@pytest.mark.parametrize("changed", [{}, {"gru_units": None}, {"recency_mean": False}, {"item_bias": False}])
def test_a_query_of_a_history_is_what_training_asks_with_at_its_end(changed):
    model = model_of(MODEL.model_copy(update=changed))
    run = np.random.default_rng(1).integers(1, MOVIES + 1, (3, 17)).astype(np.int32)
    places = tf.constant([[2, 16], [0, 3], [0, 11], [2, 0], [0, 3]])

    found = model.query_tower.at(tf.constant(run), places)

    np.testing.assert_allclose(found, model.query_tower.along(tf.constant(run), places), rtol=1e-4, atol=1e-5)
    served = [model.query_tower(tf.constant(run[row : row + 1, : last + 1]))[0] for row, last in places.numpy()]
    np.testing.assert_allclose(served, found, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.integers(1, MOVIES), max_size=30), min_size=1, max_size=8), st.integers(0, 9))
def test_a_history_in_a_batch_is_answered_as_alone(histories, pads):
    model = model_of()

    together = model.query_tower(tf.pad(padded(*histories, [1]), [[0, 0], [0, pads]]))

    for history, query in zip(histories, together, strict=False):
        alone = model.query_tower(tf.constant([history], tf.int32))[0]
        np.testing.assert_allclose(query, alone, rtol=1e-4, atol=1e-5)


def test_each_movie_of_a_history_changes_its_query_and_no_query_before_it():
    model = model_of()
    run = np.random.default_rng(2).integers(1, MOVIES + 1, (1, 12)).astype(np.int32)
    places = tf.constant([[0, place] for place in range(12)])
    before = model.query_tower.at(tf.constant(run), places).numpy()
    for changed in range(12):
        other = run.copy()
        other[0, changed] = run[0, changed] % MOVIES + 1
        after = model.query_tower.at(tf.constant(other), places).numpy()
        np.testing.assert_array_equal(after[:changed], before[:changed])
        assert (after[changed:] != before[changed:]).any(axis=1).all()


def test_histories_of_one_user_are_read_along_the_longest():
    histories = padded([7, 1, 4, 9, 2], [7, 1], [7, 1, 4, 9, 2, 30], [7, 1, 4, 9, 5], [], [3, 1], [7, 1, 4, 9])

    rows = last_places(histories).numpy()[:, 0].tolist()

    assert rows == [2, 1, 2, 3, 4, 5, 2]  # of fewer than four movies each is read by itself
    assert last_places(histories).numpy()[:, 1].tolist() == [4, 1, 5, 4, 0, 1, 3]
    # Histories that are read along another one are not read themselves.
    assert ends_of_runs(last_places(histories), len(histories)).numpy().tolist() == [0, 2, 6, 5, 1, 2, 0]


def test_the_loss_leaves_out_all_that_was_watched_before_and_nothing_that_is_watched_later():
    model = model_of()
    movies = np.array([11, 5, 9, 2, 17, 30, 21, 5, 8, 33], np.int32)
    timelines = TrainTimelines(movies, np.array([0]), np.arange(10) > 0, 3)
    offered_at = {7: np.setdiff1d(np.arange(1, MOVIES + 1), [11, 9, 2, 17, 30, 21])}  # 5 is the label, watched again
    offered_at[8] = np.setdiff1d(np.arange(1, MOVIES + 1), [11, 5, 9, 2, 17, 30, 21])

    for label, offered in offered_at.items():
        asked = timelines.take(np.array([label - 1]))
        (batch,) = chunk_batches(asked, 3, 3, seed=1, lead_length=2, num_movies=MOVIES)
        read = batch[0].numpy()[0]
        place = int(np.argwhere(batch[1].numpy())[0, 1]) - 1
        assert read[: place + 1].tolist() == movies[label - place - 1 : label].tolist()
        assert place < label - 1  # it begins to read after the timeline's beginning
        query = model.query_tower.along(tf.constant(read[np.newaxis]), tf.constant([[0, place]])).numpy()[0]
        scores = model.candidate_tower.catalogue().numpy() @ query
        expected = np.log(np.exp(scores[offered - 1]).sum()) - scores[movies[label] - 1]
        np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"split": "leave_one_out"}, {"split": "temporal"}, {"split": "global_time"}, {"split": "global_time_last"}],
    ids=lambda options: options["split"],
)
def test_no_held_out_movie_is_read_asked_for_or_left_out_of_the_loss(options, tmp_path):
    # A movie of its own for each rating, so that its number tells where it stands, and one user who watched them all
    # before: some splits hold out no movie that train doesn't know.
    events = tmp_path / "events.csv"
    rows = [(user, 100 * user + place, 1_000 * place + user) for user in range(1, 9) for place in range(12)]
    crowd = [
        (99, item, place) for place, item in enumerate(sorted((item for _, item, _ in rows), key=lambda i: i % 100))
    ]
    lines = [f"{user},{item},{1_000 + time}\n" for user, item, time in [*crowd, *rows]]
    events.write_text("user,item,time\n" + "".join(lines))
    made = GenerateOptions(name="events", timelines=True, leave_out="history", train_fraction=0.8, **options)
    manifest = generate(made, tmp_path / "out", interactions=str(events))
    ids = np.array(sorted({item for _, item, _ in rows}))
    user_of = np.append(0, ids // 100)
    files = [str(tmp_path / "out" / shard.name) for shard in manifest.shards_of(TIMELINES)]
    timelines = read_timelines(files, ids, 10)
    read = [movies for movies in np.split(timelines.movies, timelines.starts[1:]) if len(set(user_of[movies])) == 1]
    held_out = sorted(set(range(1, len(ids) + 1)) - set(np.concatenate(read).tolist()))

    assert len(timelines) == manifest.counts.train
    assert {int(ids[movie - 1]) for movie in held_out} >= {100 * user + 11 for user in range(1, 9)}
    asked = 0
    for movies, is_label, first in chunk_batches(timelines, 4, 4, seed=1, lead_length=2, num_movies=len(ids)):
        if len(set(user_of[movies[movies > 0]])) > 1:
            continue  # the crowd's
        places = tf.cast(tf.where(is_label[:, 1:]), tf.int32)
        left_out = watched_before(first, places).numpy()
        assert not set(held_out) & set(movies.numpy().ravel().tolist())
        assert not left_out[:, held_out].any()
        for (row, column), is_left_out in zip(places.numpy(), left_out, strict=True):
            label = int(movies[row, column + 1])
            earlier = np.flatnonzero((user_of == user_of[label]) & (np.arange(len(user_of)) < label))
            assert np.flatnonzero(is_left_out).tolist() == [0, *earlier]
            asked += 1
    assert asked > 40


def test_validation_labels_are_ranked_by_all_that_came_before_and_are_in_no_loss():
    model = model_of()
    fitted, held_out = hold_out(timelines_of(*[30] * 9, 2, 1, 14), 0.3, seed=1)
    assert not (fitted.is_label & held_out.is_label).any()

    found = validation_ranks(model, held_out)

    expected = []
    for history, label in histories_of(held_out):
        scores = tf.matmul(model.query_tower(padded(history)), model.candidate_tower.catalogue(), transpose_b=True)
        seen = np.isin(np.arange(1, MOVIES + 1), history)[np.newaxis]
        expected.append(int(rank_of_label(scores, tf.constant([label - 1]), tf.constant(seen))[0]))
    assert [rank if rank <= MOVIES else MOVIES + 1 for rank in found.tolist()] == expected
    asked = sum(int(is_label.sum()) for _, is_label, _ in whole_batches(held_out, MOVIES))
    assert asked == len(held_out)


def test_a_model_learns_what_only_the_beginning_of_a_history_tells():
    random = np.random.default_rng(4)
    # The first movie, beyond any context, says whether numbers rise or fall.
    first = random.integers(0, 2, 300)
    begins = random.integers(0, 30, 300)
    steps = begins[:, np.newaxis] + np.where(first[:, np.newaxis] == 0, 1, -1) * np.arange(9)
    movies = np.concatenate([first[:, np.newaxis] + 1, np.full((300, 1), 3), steps % 30 + 5], axis=1)
    is_label = np.tile(np.arange(11) == 3, 300)
    timelines = TrainTimelines(movies.astype(np.int32).ravel(), np.arange(0, 3300, 11), is_label, 1)
    training = TRAINING.model_copy(update={"epochs": 40, "batch_size": 64, "lead_length": 4, "learning_rate": 0.03})

    model = fit(timelines, MOVIES, ModelSettings(embedding_dim=16, dropout=0.0, reads="history"), training)

    assert validation_recall(model, timelines, k=1) > 0.9
