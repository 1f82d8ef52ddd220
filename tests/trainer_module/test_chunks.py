"""Training over chunks of timelines: what is read, what is asked for, and what must not leak into either."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given
from hypothesis import strategies as st

from data.examples.shards import TIMELINES
from data.generate import generate
from data.movie_ids import id_array
from data.options import GenerateOptions
from trainer_module.chunked_model import ChunkedNextMovieModel
from trainer_module.dataset import Windows, hold_out
from trainer_module.long_runs import movies_up_to
from trainer_module.model import NextMovieModel
from trainer_module.recurrence import states_along
from trainer_module.settings import ModelSettings, TrainingSettings
from trainer_module.timelines import TrainTimelines, chunk_batches, draw_chunks, of_known_movies, read_timelines
from trainer_module.training import fit, new_model, validation_recall

MOVIES, LENGTH = 40, 4
MODEL = ModelSettings(embedding_dim=6, gru_units=5, dropout=0.0)
TRAINING = TrainingSettings(form="chunks", chunk_length=3, batch_size=24, epochs=4, learning_rate=0.02, seed=3)


def timelines_of(*lengths: int, share: float = 0.7, seed: int = 0) -> TrainTimelines:
    """Draw timelines of the given lengths, in which a share of the movies but the first are labels."""
    random = np.random.default_rng(seed)
    movies = random.integers(1, MOVIES + 1, sum(lengths)).astype(np.int32)
    starts = np.cumsum([0, *lengths[:-1]])
    is_label = random.random(len(movies)) < share
    is_label[starts] = False
    return TrainTimelines(movies, starts, is_label, LENGTH)


def plain_windows(timelines: TrainTimelines) -> list[tuple[list[int], int]]:
    """List each label with the movies before it."""
    found = []
    for start, stop in zip(timelines.starts, [*timelines.starts[1:], len(timelines.movies)], strict=True):
        for row in range(start, stop):
            if timelines.is_label[row]:
                context = timelines.movies[max(start, row - LENGTH) : row].tolist()
                found.append((context, int(timelines.movies[row])))
    return found


def model_of(settings: ModelSettings = MODEL) -> ChunkedNextMovieModel:
    """Return a model with random weights everywhere."""
    model = ChunkedNextMovieModel(MOVIES, LENGTH, settings)
    for place, weight in enumerate(model.trainable_variables):
        weight.assign(tf.random.stateless_normal(weight.shape, [place, 7], stddev=0.5))
    return model


def test_windows_of_timelines_are_labels_with_the_movies_before_them():
    timelines = timelines_of(1, 2, 9, 5)
    windows = timelines.windows()
    read = [
        (context[context > 0].tolist(), label)
        for context, label in zip(windows.context, windows.label.tolist(), strict=True)
    ]
    assert read == plain_windows(timelines)
    assert all((context[1:] <= context[:-1] * MOVIES).all() for context in windows.context)  # no movie behind a pad


def test_a_movie_that_the_vocabulary_lacks_is_passed_over():
    timelines = of_known_movies(
        np.array([3, 0, 5, 0, 0, 7], np.int32), np.array([4, 1, 1]), np.array([0, 0, 1, 0, 0, 0], bool), LENGTH
    )
    assert (timelines.movies.tolist(), timelines.starts.tolist()) == ([3, 5, 7], [0, 2])
    assert timelines.is_label.tolist() == [False, True, False]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 9), st.integers(0, 2**32))
def test_each_label_is_in_one_chunk_that_reads_a_whole_context_before_it(lengths, chunk_length, seed):
    timelines = timelines_of(*lengths, seed=seed % 97)
    chunks = draw_chunks(timelines, chunk_length, np.random.default_rng(seed))
    covered = Counter(
        row for first, end in zip(chunks.labels_from, chunks.ends, strict=True) for row in range(first, end)
    )
    assert set(covered.values()) <= {1}
    assert set(np.flatnonzero(timelines.is_label).tolist()) <= set(covered)
    starts = timelines.starts[np.searchsorted(timelines.starts, chunks.labels_from, side="right") - 1]
    assert (chunks.reads_from == np.maximum(chunks.labels_from - LENGTH, starts)).all()
    assert (chunks.labels_from > starts).all()
    assert (chunks.ends - chunks.labels_from <= chunk_length).all()


def test_timelines_are_cut_elsewhere_in_each_epoch():
    batches = chunk_batches(timelines_of(*[20] * 12), 24, 3, seed=5)
    first, second = ([movies.tolist() for movies, _ in batches.as_numpy_iterator()] for _ in range(2))
    assert first != second
    again = [
        movies.tolist() for movies, _ in chunk_batches(timelines_of(*[20] * 12), 24, 3, seed=5).as_numpy_iterator()
    ]
    assert first == again


def test_what_is_asked_for_in_an_epoch_is_the_labels_with_their_contexts():
    timelines = timelines_of(*[25] * 30)
    expected = Counter((tuple(context), label) for context, label in plain_windows(timelines))
    asked: Counter = Counter()
    for movies, is_label in chunk_batches(timelines, 1, 3, seed=1).as_numpy_iterator():
        places = np.argwhere(is_label[:, 1:])
        contexts = movies_up_to(tf.constant(movies), tf.constant(places, tf.int32), LENGTH).numpy()
        for (row, column), context in zip(places, contexts, strict=True):
            asked[tuple(context[context > 0].tolist()), int(movies[row, column + 1])] += 1
    # A chunk alone in its batch: the first epoch has room for each, once.
    assert asked == expected


@pytest.mark.parametrize("changed", [{}, {"gru_units": None}, {"recency_mean": False}, {"item_bias": False}])
def test_a_query_along_a_run_is_that_of_the_served_context(changed):
    model = model_of(MODEL.model_copy(update=changed))
    run = np.random.default_rng(1).integers(1, MOVIES + 1, (3, LENGTH)).astype(np.int32)
    for last in range(LENGTH):
        context = np.where(np.arange(LENGTH) <= last, run, 0)
        along = model.query_tower.along(tf.constant(run), tf.constant([[row, last] for row in range(3)]))
        np.testing.assert_allclose(along, model.query_tower(context), rtol=1e-5, atol=1e-6)


def test_states_along_a_run_and_their_gradients_are_those_of_the_layer():
    layer = keras.layers.GRU(5, return_sequences=True)
    inputs = tf.random.stateless_normal([7, 3, 4], [1, 2])
    layer(tf.transpose(inputs, [1, 0, 2]))
    for place, weight in enumerate(layer.trainable_variables):
        weight.assign(tf.random.stateless_normal(weight.shape, [place, 7]))
    weights = tf.random.stateless_normal([7, 3, 5], [3, 4])

    def states_and_gradients(states_of):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            states = states_of(inputs)
            score = tf.reduce_sum(states * weights)
        return [states, *tape.gradient(score, [inputs, *layer.trainable_variables])]

    expected = states_and_gradients(lambda read: tf.transpose(layer(tf.transpose(read, [1, 0, 2])), [1, 0, 2]))
    found = states_and_gradients(lambda read: states_along(layer.cell, read))
    for value, same in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, same, rtol=1e-4, atol=1e-5)


def test_a_batch_has_about_as_many_labels_as_it_should():
    timelines = timelines_of(*[25] * 300)
    asked = [is_label.sum() for _, is_label in chunk_batches(timelines, 100, 3, seed=1).as_numpy_iterator()]
    assert len(asked) == pytest.approx(len(timelines) / 100, abs=1)
    assert np.mean(asked) == pytest.approx(100, rel=0.03)


def test_a_change_of_a_later_movie_changes_no_earlier_query():
    model = model_of()
    run = np.random.default_rng(2).integers(1, MOVIES + 1, (1, 9)).astype(np.int32)
    places = tf.constant([[0, place] for place in range(9)])
    before = model.query_tower.along(tf.constant(run), places).numpy()
    for changed in range(9):
        other = run.copy()
        other[0, changed] = run[0, changed] % MOVIES + 1
        after = model.query_tower.along(tf.constant(other), places).numpy()
        np.testing.assert_array_equal(after[:changed], before[:changed])
        assert (after[changed] != before[changed]).any()


def test_the_loss_of_a_chunk_that_begins_with_its_timeline_is_that_of_its_windows():
    model = model_of()
    run = np.array([[5, 9, 2, 17, 30], [8, 8, 1, 4, 0]], np.int32)
    is_label = np.array([[0, 1, 0, 1, 1], [0, 1, 1, 0, 0]], bool)
    windows = Windows(
        np.array([[5, 0, 0, 0], [5, 9, 2, 0], [5, 9, 2, 17], [8, 0, 0, 0], [8, 8, 0, 0]], np.int32),
        np.array([9, 17, 30, 8, 1], np.int32),
    )
    as_windows = NextMovieModel(MOVIES, LENGTH, MODEL)
    as_windows.set_weights(model.get_weights())
    expected = as_windows.compute_loss((tf.constant(windows.context), tf.constant(windows.label)))
    found = model.compute_loss((tf.constant(run), tf.constant(is_label)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_loss_leaves_out_the_last_movies_alone_and_nothing_that_is_watched_later():
    model = model_of()
    run = np.array([[11, 5, 9, 2, 17, 30, 21]], np.int32)
    is_label = np.array([[0, 0, 0, 0, 0, 1, 0]], bool)
    query = model.query_tower.along(tf.constant(run[:, :-1]), tf.constant([[0, 4]])).numpy()[0]
    scores = model.candidate_tower.catalogue().numpy() @ query
    offered = np.setdiff1d(np.arange(1, MOVIES + 1), [5, 9, 2, 17])  # 11 is further back than a context, 21 is later
    expected = np.log(np.exp(scores[offered - 1]).sum()) - scores[30 - 1]
    found = model.compute_loss((tf.constant(run), tf.constant(is_label)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    later = run.copy()
    later[0, 6] = 33
    assert model.compute_loss((tf.constant(later), tf.constant(is_label))) == found


def test_validation_labels_are_in_neither_loss_nor_counts():
    timelines = timelines_of(*[20] * 10)
    fitted, held_out = hold_out(timelines, 0.3, seed=1)
    assert not (fitted.is_label & held_out.is_label).any()
    assert (fitted.is_label | held_out.is_label).tolist() == timelines.is_label.tolist()
    for _, is_label in chunk_batches(fitted, 1, 3, seed=1).as_numpy_iterator():
        assert is_label.any()
    asked = sum(is_label.sum() for _, is_label in chunk_batches(fitted, 1, 3, seed=1).as_numpy_iterator())
    assert asked == len(fitted)
    # Embeddings start from the windows of what is fitted.
    settings = ModelSettings(embedding_dim=6, dropout=0.0)
    of_timelines = new_model(fitted, MOVIES, settings, TRAINING, 5).candidate_tower.catalogue()
    of_windows = new_model(fitted.windows(), MOVIES, settings, TrainingSettings(seed=3), 5).candidate_tower.catalogue()
    np.testing.assert_allclose(of_timelines, of_windows, rtol=1e-5)


def test_a_movie_that_is_never_a_label_and_stands_behind_all_labels_changes_nothing():
    timelines = timelines_of(*[12] * 20)
    ends = np.append(timelines.starts[1:], len(timelines.movies)) - 1
    timelines.is_label[ends] = False
    other = replace(timelines, movies=timelines.movies.copy())
    other.movies[ends] = other.movies[ends] % MOVIES + 1
    models = [fit(read, MOVIES, MODEL, TRAINING) for read in (timelines, other)]
    for weight, same in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(weight, same, rtol=1e-5, atol=1e-7)


def test_chunks_learn_which_movie_follows_which():
    random = np.random.default_rng(4)
    movies = np.concatenate([(random.integers(0, MOVIES) + np.arange(15)) % MOVIES + 1 for _ in range(120)])
    is_label = np.tile(np.arange(15) > 0, 120)
    timelines = TrainTimelines(movies.astype(np.int32), np.arange(0, 1800, 15), is_label, LENGTH)
    settings = TRAINING.model_copy(update={"epochs": 6, "batch_size": 48})
    model = fit(timelines, MOVIES, ModelSettings(embedding_dim=8, dropout=0.0), settings)
    assert validation_recall(model, timelines.windows(), k=1) > 0.9


def test_windows_are_refused_where_chunks_are_asked_for():
    with pytest.raises(TypeError, match="windows can't be put together"):
        fit(timelines_of(9, 9).windows(), MOVIES, MODEL, TRAINING)


@pytest.mark.parametrize("text", [False, True], ids=["integers", "texts"])
def test_timelines_are_read_as_they_were_written(text, tmp_path):
    ids = [f"item {number}" for number in range(6)] if text else [5, 3, 90, 7, 11, 2]
    rows = [(user, ids[(user + place * place) % 6], 1_000 * user + place) for user in range(1, 9) for place in range(7)]
    events = tmp_path / "events.csv"
    events.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    options = GenerateOptions(name="events", split="leave_one_out", timelines=True)
    manifest = generate(options, tmp_path / "out", interactions=str(events))
    files = [str(tmp_path / "out" / shard.name) for shard in manifest.shards_of(TIMELINES)]
    # The vocabulary lacks the last of the movies.
    vocabulary = id_array(ids[:-1], text=text)
    read = read_timelines(files, vocabulary, 10, manifest.pad_movie_id)
    expected = []
    for user in range(1, 9):
        watched = [item for other, item, _ in rows if other == user][:-1]
        expected.append([ids.index(item) + 1 for item in watched if item != ids[-1]])
    found = np.split(read.movies, read.starts[1:])
    assert sorted(map(list, found)) == sorted(expected)
