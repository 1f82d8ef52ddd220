"""The two towers and their losses, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainer_module.model import NextMovieModel, RecencyMean, _cross_entropy, _last_movies
from trainer_module.settings import ModelSettings

MOVIES, LENGTH, DIM = 7, 4, 3
CONTEXT = np.array([[1, 2, 0, 0], [3, 4, 5, 6], [7, 0, 0, 0]], np.int32)
LABEL = np.array([3, 7, 3], np.int32)
TUTORIAL = {
    "tied_tables": False,
    "mask_padding": False,
    "item_bias": False,
    "recency_mean": False,
    "counted_embeddings": False,
    "loss": "in_batch",
    "dropout": 0.0,
}


def make_model(**settings) -> NextMovieModel:
    tf.keras.utils.set_random_seed(3)
    model = NextMovieModel(MOVIES, LENGTH, ModelSettings(embedding_dim=DIM, **settings))
    # Biases start at zero; away from it they can be seen.
    for weight in model.trainable_variables:
        if "item_bias" in weight.name:
            weight.assign(np.linspace(-1, 1, MOVIES + 1)[:, np.newaxis])
    return model


def scores_in_numpy(model: NextMovieModel, candidates: np.ndarray) -> np.ndarray:
    return model.query_tower(CONTEXT, training=False).numpy() @ candidates.T


def cross_entropy(logits: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Compute -log softmax at each row's column, float `[rows]`."""
    odds = np.exp(logits.astype(np.float64))
    return -np.log(odds[np.arange(len(column)), column] / odds.sum(axis=1))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("bias", "width"), [(False, DIM), (True, DIM + 1)])
def test_both_towers_give_one_row_a_query_and_a_movie(tied, bias, width):
    model = make_model(tied_tables=tied, item_bias=bias)
    assert model.query_tower(CONTEXT).shape == (3, width)
    assert model.candidate_tower(LABEL).shape == (3, width)
    assert model.candidate_tower.catalogue().shape == (MOVIES, width)


@pytest.mark.parametrize("bias", [True, False])
def test_row_c_of_the_catalogue_is_the_movie_of_index_c_plus_1(bias):
    model = make_model(item_bias=bias)
    by_index = model.candidate_tower(tf.range(1, MOVIES + 1))
    np.testing.assert_array_equal(model.candidate_tower.catalogue(), by_index)


def test_the_item_bias_is_added_to_the_dot_product():
    model = make_model(item_bias=True)
    scores = scores_in_numpy(model, model.candidate_tower.catalogue().numpy())
    query = model.query_tower(CONTEXT).numpy()[:, :DIM]
    candidates = model.candidate_tower.catalogue().numpy()
    np.testing.assert_allclose(scores, query @ candidates[:, :DIM].T + candidates[:, DIM], rtol=1e-5)


def test_tied_towers_share_one_table_and_others_have_two():
    def tables(model: NextMovieModel) -> int:
        return sum(weight.shape == (MOVIES + 1, DIM) for weight in model.trainable_variables)

    assert tables(make_model(tied_tables=True)) == 1
    assert tables(make_model(tied_tables=False)) == 2


@pytest.mark.parametrize("more_pads", [1, 5])
def test_with_the_mask_trailing_pads_change_nothing(more_pads):
    model = make_model(mask_padding=True)
    padded = tf.pad(CONTEXT, [[0, 0], [0, more_pads]])
    np.testing.assert_allclose(model.query_tower(padded), model.query_tower(CONTEXT), atol=1e-6)


def test_the_tutorial_reads_pads_as_a_movie():
    model = make_model(**TUTORIAL)
    padded = tf.pad(CONTEXT, [[0, 0], [0, 1]])
    assert np.abs(model.query_tower(padded) - model.query_tower(CONTEXT)).max() > 1e-3


def test_the_order_of_the_context_matters():
    model = make_model()
    there, back = model.query_tower(tf.constant([[1, 2, 3, 4]])), model.query_tower(tf.constant([[4, 3, 2, 1]]))
    assert np.abs(there - back).max() > 1e-3


def test_dropout_applies_in_training_alone():
    model = make_model(dropout=0.5)
    np.testing.assert_array_equal(model.query_tower(CONTEXT), model.query_tower(CONTEXT, training=False))
    assert np.abs(model.query_tower(CONTEXT, training=True) - model.query_tower(CONTEXT)).max() > 1e-3


@pytest.mark.parametrize("bias", [True, False])
def test_the_full_softmax_loss_is_the_mean_cross_entropy_over_what_the_contexts_leave(bias):
    model = make_model(item_bias=bias, dropout=0.0)
    logits = scores_in_numpy(model, model.candidate_tower.catalogue().numpy())
    for row, (context, label) in enumerate(zip(CONTEXT, LABEL, strict=True)):
        for movie in context:
            if movie not in (0, label):
                logits[row, movie - 1] = -np.inf
    expected = cross_entropy(logits, LABEL - 1).mean()
    loss = model.compute_loss((CONTEXT, LABEL), training=True)
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_losss_gradients_are_those_of_tensorflows_cross_entropy():
    """Also where scores are so far apart that the label's probability is zero in float32."""
    query = tf.Variable([[0.5, -1.0], [30.0, 0.0], [1.0, 1.0]])
    candidates = tf.Variable([[9.0, 9.0], [1.0, 0.5], [-10.0, 0.0], [10.0, 0.0], [0.5, 2.0]])
    label, excluded = tf.constant([1, 2, 4]), tf.constant([[2, 0], [0, 0], [1, 0]])
    weight = tf.constant([1.0, 0.5, -2.0])
    with tf.GradientTape(persistent=True) as tape:
        ours = tf.reduce_sum(weight * _cross_entropy(query, candidates, label, excluded))
        logits = query @ tf.transpose(candidates)
        out = tf.reduce_max(tf.one_hot(excluded, 5), axis=1) > 0
        logits = tf.where(out, logits.dtype.min, logits)
        theirs = tf.reduce_sum(weight * tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits))
    for variable in (query, candidates):
        expected = tape.gradient(theirs, variable)
        assert np.abs(expected).max() > 1
        np.testing.assert_allclose(tape.gradient(ours, variable), expected, rtol=1e-5, atol=1e-5)


def test_the_last_movies_of_a_context_are_found_behind_pads_and_between_unknown_ones():
    context = tf.constant([[1, 2, 3, 4], [5, 6, 7, 0], [1, 0, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(_last_movies(context, 2), [[3, 4], [6, 7], [1, 2], [0, 3], [0, 0]])
    np.testing.assert_array_equal(_last_movies(context, 4)[:3], [[1, 2, 3, 4], [0, 5, 6, 7], [0, 0, 1, 2]])


def test_a_wider_gru_is_brought_to_the_width_of_the_candidates():
    model = make_model(gru_units=5, recency_mean=False, item_bias=False)
    shapes = [tuple(weight.shape) for weight in model.query_tower.trainable_variables]
    assert (5, 3 * 5) in shapes, "the state's own weights"
    assert (5, DIM) in shapes, "the matrix"
    query = model.query_tower(CONTEXT)
    assert query.shape == (3, DIM)
    (matrix,) = (weight for weight in model.query_tower.trainable_variables if weight.shape == (5, DIM))
    matrix.assign(2 * matrix)
    np.testing.assert_allclose(model.query_tower(CONTEXT), 2 * query, rtol=1e-5)


@pytest.mark.parametrize("gru_units", [None, 8])
def test_without_a_movie_a_query_meets_the_bias_alone(gru_units):
    model = make_model(gru_units=gru_units)
    np.testing.assert_array_equal(model.query_tower(tf.zeros([1, LENGTH], tf.int32)), [[0] * DIM + [1]])


def test_a_gru_that_reads_two_movies_knows_nothing_of_earlier_ones():
    model = make_model(gru_reads=2, recency_mean=False)
    queries = model.query_tower(tf.constant([[5, 6, 0, 0], [1, 2, 5, 6], [3, 5, 6, 0], [5, 1, 6, 0]])).numpy()
    np.testing.assert_allclose(queries[1:3], queries[[0, 0]], atol=1e-6)
    assert np.abs(queries[3] - queries[0]).max() > 1e-3


def test_the_recency_mean_is_over_all_movies_whatever_the_gru_reads():
    model = make_model(gru_reads=2)
    queries = model.query_tower(tf.constant([[1, 2, 5, 6], [3, 2, 5, 6]])).numpy()
    assert np.abs(queries[0] - queries[1]).max() > 1e-3


def test_training_drops_the_same_entries_at_all_places_of_a_context():
    model = make_model(dropout=0.5)
    dropped = model.query_tower._context_dropout(tf.ones([4, LENGTH, 64]), training=True).numpy()
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1], dropped.shape))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert not (dropped[0] == dropped[1]).all()


def test_a_label_that_its_context_holds_stays_in_the_softmax():
    model = make_model(dropout=0.0)
    context = tf.constant([[2, 5, 0, 0]], CONTEXT.dtype)[:, :LENGTH]
    logits = model.query_tower(context) @ tf.transpose(model.candidate_tower.catalogue())
    offered = [column for column in range(MOVIES) if column != 2 - 1]
    expected = cross_entropy(logits.numpy()[:, offered], np.array([offered.index(5 - 1)]))[0]
    assert float(model.compute_loss((context, tf.constant([5], LABEL.dtype)))) == pytest.approx(expected, rel=1e-5)


def test_the_in_batch_loss_is_the_summed_cross_entropy_over_the_batchs_labels():
    model = make_model(**TUTORIAL)
    # Two queries share a label: as in the tutorial, each counts as a wrong answer to the other.
    logits = scores_in_numpy(model, model.candidate_tower(LABEL).numpy())
    expected = cross_entropy(logits, np.arange(3)).sum()
    assert float(model.compute_loss((CONTEXT, LABEL), training=True)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_batch_of_one_is_a_number():
    model = make_model(dropout=0.0)
    assert np.isfinite(model.compute_loss((CONTEXT[:1], LABEL[:1])))


def test_the_recency_mean_weighs_movies_by_their_distance_from_the_end():
    embedded = tf.constant([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]], [[2.0, 4.0], [7.0, 7.0], [7.0, 7.0]]])
    mask = tf.constant([[True, True, False], [True, False, False]])
    layer = RecencyMean(max_context_length=3)
    # Of two movies the last weighs 1 and the one before it exp(-0.15) = 0.8607.
    earlier = np.exp(-0.15) / (1 + np.exp(-0.15))
    np.testing.assert_allclose(layer(embedded, mask), [[earlier, 1 - earlier], [2.0, 4.0]], rtol=1e-5)


def test_the_recency_mean_of_no_movie_is_zero():
    layer = RecencyMean(max_context_length=2)
    np.testing.assert_array_equal(layer(tf.ones([1, 2, 3]), tf.constant([[False, False]])), [[0, 0, 0]])


def test_the_short_cut_is_added_to_the_state_and_learns():
    model = make_model(recency_mean=True, dropout=0.0)
    with tf.GradientTape() as tape:
        loss = model.compute_loss((CONTEXT, LABEL), training=True)
    learned = [weight for weight in model.trainable_variables if "log_weight" in weight.name]
    assert len(learned) == 1
    gradient = tf.convert_to_tensor(tape.gradient(loss, learned[0]))
    assert np.abs(gradient).max() > 0


def test_a_model_starts_from_the_embeddings_it_is_given():
    initial = np.arange((MOVIES + 1) * DIM, dtype=np.float32).reshape(MOVIES + 1, DIM)
    model = NextMovieModel(MOVIES, LENGTH, ModelSettings(embedding_dim=DIM, item_bias=False), initial)
    np.testing.assert_array_equal(model.candidate_tower.catalogue(), initial[1:])
