"""The `evaluate` signature on contexts of any length, against plain counting and against the fixed-length way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from synthetic_model import analyse, export_untrained_model

from data.errors import InputError
from data.features import CONTEXT_MOVIE_ID, LABEL_MOVIE_ID, SEEN_MOVIE_ID
from serving.export_record import read_record
from trainer_module.dataset import parse_and_transform
from trainer_module.model import NextMovieModel
from trainer_module.preprocessing import VOCABULARY
from trainer_module.ranking import rank_of_label, seen_mask
from trainer_module.settings import ModelSettings
from trainer_module.signatures import ServingModel

pytestmark = pytest.mark.slow

MOVIES = 60
UNKNOWN = 9_999
LENGTHS = (10, 20)

Row = tuple[list[int], int]


@dataclass(frozen=True)
class Untrained:
    """A model in memory, beside what it was made of."""

    serving: ServingModel
    transform_output: tft.TFTransformOutput
    length: int


@pytest.fixture(scope="module", params=LENGTHS)
def untrained(request, tmp_path_factory) -> Untrained:
    transform_output = analyse(tmp_path_factory.mktemp("transform"), MOVIES, request.param)
    model = NextMovieModel(MOVIES, request.param, ModelSettings())
    serving = ServingModel(model, transform_output, np.arange(MOVIES), request.param)
    return Untrained(serving, transform_output, request.param)


def serialise(rows: list[Row]) -> tf.Tensor:
    examples = []
    for context, label in rows:
        example = tf.train.Example()
        example.features.feature[CONTEXT_MOVIE_ID].int64_list.value.extend(context)
        example.features.feature[LABEL_MOVIE_ID].int64_list.value.append(label)
        examples.append(example.SerializeToString())
    return tf.constant(examples)


def make_rows(length: int, count: int = 200) -> list[Row]:
    """Make post-padded contexts that hold none to `length` movies, some of them twice, some unknown, some the label."""
    random = np.random.default_rng(length)
    rows = []
    for number in range(count):
        context = random.integers(1, MOVIES + 1, number % (length + 1)).tolist()
        if context and number % 7 == 0:
            context[int(random.integers(len(context)))] = UNKNOWN
        label = int(random.integers(1, MOVIES + 1)) if number % 11 else UNKNOWN
        rows.append((context + [0] * (length - len(context)), label))
    return rows


def evaluate_at_the_trained_length(model: Untrained, examples: tf.Tensor) -> dict[str, np.ndarray]:
    """Rank as models did that parse with the transform graph's own specification."""
    layer = model.transform_output.transform_features_layer()
    context, label = parse_and_transform(examples, model.transform_output, layer)
    index = model.serving._keep_movies(context)
    scores, excluded = model.serving._scores(index), seen_mask(index, MOVIES)
    popularity = tf.broadcast_to(model.serving._popularity.scores, tf.shape(scores))
    ranks = {
        "rank": rank_of_label(scores, label - 1, excluded),
        "rank_unfiltered": rank_of_label(scores, label - 1),
        "rank_popularity": rank_of_label(popularity, label - 1, excluded),
        "top_movie_id": model.serving._top(scores, excluded)["movie_id"][:, :10],
    }
    return {name: value.numpy() for name, value in ranks.items()}


def count_ranks(model: Untrained, row: Row) -> tuple[int, int, int]:
    """Count `rank`, `rank_unfiltered` and `rank_popularity` of one example from the answer over the whole catalogue."""
    context, label = row
    if not 1 <= label <= MOVIES:
        return (MOVIES + 1,) * 3
    answer = model.serving.recommend_seen_too(tf.constant([context], tf.int64))
    score = dict(zip(answer["movie_id"][0].numpy().tolist(), answer["score"][0].numpy().tolist(), strict=True))
    vocabulary = [int(word) for word in model.transform_output.vocabulary_by_name(VOCABULARY)]
    count = {movie: place for place, movie in enumerate(vocabulary)}

    def rank(values: dict[int, float], excluded: set[int]) -> int:
        if label in excluded:
            return MOVIES + 1
        return sum(values[movie] >= values[label] for movie in vocabulary if movie not in excluded)

    return rank(score, set(context)), rank(score, set()), rank(count, set(context))


def test_ranks_of_contexts_of_the_trained_length_are_what_they_were(untrained):
    examples = serialise(make_rows(untrained.length))

    answer = untrained.serving.evaluate(examples)

    for name, expected in evaluate_at_the_trained_length(untrained, examples).items():
        np.testing.assert_array_equal(answer[name], expected, name)


@pytest.mark.parametrize("length", [0, 4, 10, 20, 35])
def test_ranks_of_contexts_of_any_length_are_what_counting_gives(untrained, length):
    rows = make_rows(length, count=40)

    answer = untrained.serving.evaluate(serialise(rows))

    ranks = zip(
        *(answer[name].numpy().tolist() for name in ("rank", "rank_unfiltered", "rank_popularity")), strict=True
    )
    for row, ranked in zip(rows, ranks, strict=True):
        # Scores of different batches differ in the last digits: no two of these untrained ones are so close.
        assert ranked == count_ranks(untrained, row)


def test_contexts_of_several_lengths_may_stand_in_one_batch(untrained):
    rows = [([3, 4], 9), ([*range(10, 40)], 50), ([], 7), ([0, 0, 5, 0, 6], 8)]

    together = untrained.serving.evaluate(serialise(rows))

    for place, row in enumerate(rows):
        alone = untrained.serving.evaluate(serialise([row]))
        for name in ("rank", "rank_unfiltered", "rank_popularity", "catalogue_size"):
            assert int(together[name][place]) == int(alone[name][0])
        assert together["top_movie_id"][place].numpy().tolist() == alone["top_movie_id"][0].numpy().tolist()


def test_the_last_movies_of_a_long_context_are_read_and_all_of_it_is_left_out(untrained):
    context = list(range(1, 41))
    label = 50

    whole = untrained.serving.evaluate(serialise([(context, label)]))
    read = untrained.serving.evaluate(serialise([(context[-untrained.length :], label)]))

    assert int(whole["rank_unfiltered"][0]) == int(read["rank_unfiltered"][0])
    assert int(whole["rank"][0]) <= MOVIES - len(context)
    assert not set(whole["top_movie_id"][0].numpy().tolist()) & set(context)


def test_an_example_without_a_context_is_ranked_by_popularity(untrained):
    example = tf.train.Example()
    example.features.feature[LABEL_MOVIE_ID].int64_list.value.append(5)

    answer = untrained.serving.evaluate(tf.constant([example.SerializeToString()]))

    assert answer["rank"].numpy() == answer["rank_popularity"].numpy()


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    return export_untrained_model(tmp_path_factory.mktemp("export") / "model", MOVIES, context_length=10)


def test_an_export_ranks_contexts_of_any_length(export):
    evaluate = tf.saved_model.load(str(export)).signatures["evaluate"]

    for length in (3, 10, 20):
        answer = evaluate(examples=serialise(make_rows(length, count=5)))
        assert answer["rank"].shape == (5,)
        assert answer["top_movie_id"].shape == (5, 10)


def test_an_export_says_of_which_format_it_is_and_how_many_movies_it_reads(export):
    written = json.loads((export / "assets.extra" / "export.json").read_text())

    words = {"one": "movie", "many": "movies", "taken": "watched"}
    assert written == {
        "format": 2,
        "max_context_length": 10,
        "reads": "context",
        "pad_movie_id": 0,
        "words": words,
        "data": None,
        "training": None,
    }
    assert read_record(export).ranks_any_length


def test_a_folder_of_a_later_format_says_so(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "export.json").write_text('{"format": 3, "more": true}')

    assert read_record(tmp_path).format == 3
    assert read_record(tmp_path).ranks_any_length


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"2", b"{}", b'{"format": "2"}', b'{"format": true}', b"\xff\xfe", b"[" * 100_000],
)
def test_without_a_readable_format_an_export_is_one_of_an_earlier_version(tmp_path, content):
    if content is not None:
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "assets.extra" / "export.json").write_bytes(content)

    assert read_record(tmp_path).format == 1
    assert not read_record(tmp_path).ranks_any_length


def test_a_record_that_can_not_be_read_is_not_taken_for_none(tmp_path):
    (tmp_path / "assets.extra" / "export.json").mkdir(parents=True)

    with pytest.raises(InputError, match=r"assets\.extra/export\.json can't be read"):
        read_record(tmp_path)


def test_a_history_beside_the_context_is_left_out_and_not_read(untrained: Untrained):
    rows = [(context, label) for context, label in make_rows(untrained.length) if label not in (*context, UNKNOWN)][:40]
    random = np.random.default_rng(0)
    seen = [random.choice(np.setdiff1d(np.arange(1, MOVIES + 1), [label]), 25).tolist() for _, label in rows]
    examples = []
    for serialised, history in zip(serialise(rows).numpy(), seen, strict=True):
        example = tf.train.Example.FromString(serialised)
        example.features.feature[SEEN_MOVIE_ID].int64_list.value.extend([*history, UNKNOWN])
        examples.append(example.SerializeToString())
    beside, without = (untrained.serving.evaluate(given) for given in (tf.constant(examples), serialise(rows)))
    assert beside["rank_unfiltered"].numpy().tolist() == without["rank_unfiltered"].numpy().tolist()
    assert (beside["rank"].numpy() <= without["rank"].numpy()).all()
    assert (beside["rank"].numpy() < without["rank"].numpy()).any()
    assert (beside["rank_popularity"].numpy() <= without["rank_popularity"].numpy()).all()
    for top, history, (context, _) in zip(beside["top_movie_id"].numpy().tolist(), seen, rows, strict=True):
        assert not set(top) & {*history, *context} - {0}
