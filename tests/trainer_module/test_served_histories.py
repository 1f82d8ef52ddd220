"""An export that reads whole histories: its answers, its exact ranks, and the checks before it is published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import export_untrained_model

from components.gate_settings import ServableCheckSettings
from components.serving_check.servable_check import check_model
from data.features import CONTEXT_MOVIE_ID, LABEL_MOVIE_ID, SEEN_MOVIE_ID
from pipeline.error_messages import describe_failure
from serving.export_record import read_record
from serving.recommender import Recommender
from trainer_module.settings import ModelSettings

pytestmark = pytest.mark.slow

MOVIES, UNKNOWN = 300, 9_999
SETTINGS = ModelSettings(embedding_dim=16, gru_units=24, reads="history")
LENGTHS = {"median": 60, "longest": 250}
NO_HURRY = ServableCheckSettings(max_latency_ms=10_000, max_longest_latency_ms=10_000)


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    return export_untrained_model(
        tmp_path_factory.mktemp("export") / "model", MOVIES, settings=SETTINGS, history_lengths=LENGTHS
    )


@pytest.fixture(scope="module")
def recommender(export) -> Recommender:
    return Recommender.load(export)


def histories_of(count: int) -> list[list[int]]:
    """Draw histories of lengths up to 200, some of which are beginnings of others, some with movies nobody knows."""
    random = np.random.default_rng(5)
    found = [random.permutation(MOVIES)[: random.integers(1, 200)] + 1 for _ in range(count // 2)]
    found += [history[: random.integers(1, len(history) + 1)] for history in found]
    found[0] = np.insert(found[0], 3, UNKNOWN)
    return [history.tolist() for history in found]


def example_of(history: list[int], label: int, *, seen: bool = True) -> bytes:
    example = tf.train.Example()
    example.features.feature[CONTEXT_MOVIE_ID].int64_list.value.extend((history[-10:] + [0] * 10)[:10])
    example.features.feature[LABEL_MOVIE_ID].int64_list.value.append(label)
    if seen:
        example.features.feature[SEEN_MOVIE_ID].int64_list.value.extend(history)
    return example.SerializeToString()


def test_the_record_says_that_all_is_read(export):
    assert (read_record(export).reads, read_record(export).max_context_length) == ("history", None)


def test_a_long_history_is_answered_in_a_batch_as_alone(recommender):
    histories = histories_of(40)
    together, scores = recommender.recommend_ids(histories, 20)
    for history, answer, score in zip(histories, together, scores, strict=True):
        alone, alone_score = recommender.recommend_ids([history], 20)
        np.testing.assert_allclose(score, alone_score[0], rtol=1e-4, atol=1e-5)
        assert not set(answer.tolist()) & set(history)
        assert (answer == alone[0]).mean() > 0.8  # ties change places


def test_the_first_movie_of_a_long_history_counts(recommender):
    ask = recommender.signatures["include_seen"]
    # Untrained, it forgets half of what it knew at each movie.
    history = list(range(1, 16))
    answers = [ask(context_movie_id=tf.constant([[first, *history]], tf.int64))["score"].numpy() for first in (40, 41)]
    assert (answers[0] != answers[1]).any()


def test_ranks_are_those_of_the_answers_to_the_whole_histories(recommender):
    random = np.random.default_rng(6)
    histories = histories_of(30)
    labels = [int(random.choice(np.setdiff1d(np.arange(1, MOVIES + 1), history))) for history in histories]

    ranks = recommender.label_ranks([example_of(*pair) for pair in zip(histories, labels, strict=True)])

    for history, label, rank in zip(histories, labels, ranks, strict=True):
        ask = recommender.signatures["include_seen"]
        answer = ask(context_movie_id=tf.constant([history], tf.int64))
        offered = [movie for movie in answer["movie_id"].numpy()[0].tolist() if movie not in history]
        if label in offered:
            assert abs(rank - 1 - offered.index(label)) <= 1  # scores of different batches differ in the last digits
        else:
            assert rank > len(offered)


def test_examples_without_histories_are_refused_in_one_line(recommender):
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        recommender.label_ranks([example_of([1, 2, 3], 4), example_of([5, 6], 7, seen=False)])

    said = describe_failure(raised.value, Path("/work"))

    assert said.code == "R10"
    assert said.message.startswith("the model reads whole histories, and an example holds none: set data.leave_out")


def test_the_median_and_the_longest_history_are_timed_before_it_is_published(export):
    result = check_model(str(export), NO_HURRY)
    assert result.findings == []
    assert 0 < result.latency_ms < result.longest_latency_ms
    canaries = json.loads((export / "assets.extra" / "canaries.json").read_text())
    assert {canary["name"]: len(canary["context_movie_id"]) for canary in canaries}.items() >= LENGTHS.items()


def test_a_longest_history_that_takes_too_long_is_found(export):
    limits = NO_HURRY.model_copy(update={"max_longest_latency_ms": 0.01})
    [found] = check_model(str(export), limits).findings
    assert found.startswith("a request with a history of 250 takes ")
    assert found.endswith(" ms, more than the 0.01 ms allowed")
