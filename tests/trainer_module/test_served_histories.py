"""An export that reads whole histories: its answers, its exact ranks, and the checks before it is published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import analyse, export_untrained_model

from components.gate_settings import ServableCheckSettings
from components.serving_check.servable_check import check_model
from data.examples.manifest import MANIFEST_FILE
from data.examples.shards import TIMELINES
from data.features import CONTEXT_MOVIE_ID, LABEL_MOVIE_ID, SEEN_MOVIE_ID
from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE
from pipeline.error_messages import describe_failure
from serving.export_record import read_record
from serving.recommender import Recommender
from trainer_module.settings import ModelSettings
from trainer_module.trainer import run_fn

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
    assert found.sentence.startswith("a request with a history of 250 takes ")
    assert found.sentence.endswith(" ms, more than the 0.01 ms allowed")


def test_what_the_trainer_fits_to_timelines_is_found_servable_and_ranks_the_eval_examples(tmp_path):
    random = np.random.default_rng(1)
    watched = [(user, movie) for user in range(40) for movie in random.permutation(50)[: 14 + user % 3 * 12] + 1]
    lines = [f"{user},{movie},{1_000 + time}" for time, (user, movie) in enumerate(watched)]
    (tmp_path / "events.csv").write_text("\n".join(["user,item,time", *lines]))
    options = GenerateOptions(name="events", split="leave_one_out", leave_out="history", timelines=True)
    made, root = tmp_path / "made", tmp_path / "examples"
    manifest = generate(options, made, interactions=str(tmp_path / "events.csv"))
    # As ExampleGen lays them out.
    for shard in manifest.shards:
        folder = root / (TIMELINES if shard.split == TIMELINES else f"Split-{shard.split}")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / shard.name, folder)
    for name in (CATALOGUE_FILE, MANIFEST_FILE):
        shutil.copy(made / name, root)
    analyse(tmp_path, 50)
    training = {"form": "chunks", "chunk_length": 8, "lead_length": 4, "epochs": 1, "batch_size": 64}

    run_fn(
        SimpleNamespace(
            base_model=None,
            custom_config={
                "model": {"embedding_dim": 16, "reads": "history"},
                "training": {**training, "validation_fraction": 0.1},
            },
            transform_output=str(tmp_path / "transform"),
            train_files=[str(root / "Split-train" / "*")],
            model_run_dir=str(tmp_path / "run"),
            serving_model_dir=str(tmp_path / "model"),
        )
    )

    result = check_model(str(tmp_path / "model"), NO_HURRY)
    assert result.findings == []
    canaries = json.loads((tmp_path / "model" / "assets.extra" / "canaries.json").read_text())
    lengths = {canary["name"]: len(canary["context_movie_id"]) for canary in canaries}
    # Of 14, 26 and 38 movies, all but each user's last.
    assert (lengths["median"], lengths["longest"]) == (25, 37)
    files = [str(path) for path in (root / "Split-eval").iterdir()]
    records = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    recommender = Recommender.load(tmp_path / "model")
    ranks = recommender.label_ranks(records)
    for record, rank in zip(records, ranks, strict=True):
        example = tf.train.Example.FromString(record).features.feature
        history = list(example[SEEN_MOVIE_ID].int64_list.value)
        offered = [movie.movie_id for movie in recommender.recommend(history, k=100)]
        assert len(offered) == 50 - len(history)
        assert abs(offered.index(example[LABEL_MOVIE_ID].int64_list.value[0]) + 1 - rank) <= 1
