"""The published model, loaded in a fresh process that has TensorFlow and no code of the project."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from synthetic_model import export_untrained_model

from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from trainer_module.popularity import choose_stretch

pytestmark = pytest.mark.slow

UNKNOWN = [999_999, 1_000_000]
NUM_EXAMPLES = 400
CONTEXT_LENGTH = 10
Answers = dict[str, np.ndarray]


def read_records(folder: Path) -> list[bytes]:
    files = sorted(str(path) for path in folder.iterdir())
    return list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())


def integers(record: bytes, feature: str) -> list[int]:
    return list(tf.train.Example.FromString(record).features.feature[feature].int64_list.value)


def with_integers(record: bytes, **features: list[int]) -> bytes:
    example = tf.train.Example.FromString(record)
    for name, values in features.items():
        example.features.feature[name].int64_list.value[:] = values
    return example.SerializeToString()


def padded(histories: list[list[int]]) -> list[list[int]]:
    longest = max(map(len, histories))
    return [history + [0] * (longest - len(history)) for history in histories]


@pytest.fixture(scope="module")
def windows(sample_run) -> list[tuple[bytes, list[int], int]]:
    """Give the first eval examples: serialised, the context without pads, the label."""
    records = read_records(sample_run.artifact("ExampleGen", "examples") / "Split-eval")[:NUM_EXAMPLES]
    return [
        (
            record,
            [movie for movie in integers(record, "context_movie_id") if movie],
            integers(record, "label_movie_id")[0],
        )
        for record in records
    ]


@pytest.fixture(scope="module")
def train_counts(sample_run) -> Counter[int]:
    """Count how often each movie is a label in train."""
    records = read_records(sample_run.artifact("ExampleGen", "examples") / "Split-train")
    return Counter(integers(record, "label_movie_id")[0] for record in records)


@pytest.fixture(scope="module")
def counts_by_period(sample_run) -> dict[int, dict[int, int]]:
    """Give, by movie, how often it is a train label in each period, as the catalogue beside the examples has it."""
    lines = (sample_run.artifact("ExampleGen", "examples") / CATALOGUE_FILE).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["id"]: dict(row["train_labels"]) for row in rows if "train_labels" in row}


@pytest.fixture(scope="module")
def movies(sample_run) -> list[int]:
    """Give the model's vocabulary, most frequent first."""
    return [int(line) for line in (sample_run.model / "assets" / "movie_id").read_text().split()]


@pytest.fixture(scope="module")
def canaries(sample_run) -> list[dict]:
    return json.loads((sample_run.model / "assets.extra" / "canaries.json").read_text())


@pytest.fixture(scope="module")
def answers(sample_run, windows, movies, canaries, tmp_path_factory) -> Answers:
    """Ask everything that the tests below look at, in one process."""
    a, b = movies[5], movies[20]
    histories = [context for _, context, _ in windows]
    record = windows[0][0]
    full = next(record for record, context, _ in windows if len(context) == CONTEXT_LENGTH)
    examples = [record for record, _, _ in windows]
    odd_examples = [
        with_integers(record, label_movie_id=[UNKNOWN[0]]),
        with_integers(full, label_movie_id=[integers(full, "context_movie_id")[3]]),
        with_integers(record, context_movie_id=[a, b, *[0] * 8]),
        with_integers(record, context_movie_id=[a, UNKNOWN[0], b, *[0] * 7]),
        with_integers(record, context_movie_id=[UNKNOWN[0], *[0] * 9]),
    ]

    def history(values: list[list[int]]) -> tuple[str, str, list[list[int]]]:
        return ("serving_default", "context_movie_id", values)

    requests = {
        "plain": history([[a, b]]),
        "one": history([[a]]),
        "zeros": history([[0, a, 0, 0, b, 0]]),
        "unknown_between": history([[a, UNKNOWN[0], b]]),
        "other_order": history([[b, a]]),
        "long": history([movies[:25]]),
        "hundred": history([movies[:100]]),
        "all": history([movies]),
        "beside_all": history(padded([[a, b], movies])),
        "unknown": history([UNKNOWN]),
        "empty": history([[]]),
        "pads": history([[0, 0, 0]]),
        "no_query": history([]),
        "no_example": ("evaluate", "examples", []),
        "eval": history(padded(histories)),
        "seen_too": ("include_seen", "context_movie_id", padded(histories)),
        "long_seen_too": ("include_seen", "context_movie_id", [movies[:25]]),
        "last_seen_too": ("include_seen", "context_movie_id", [movies[15:25]]),
        "similar": ("similar", "movie_id", [*movies, UNKNOWN[0]]),
        "evaluate": ("evaluate", "examples", [base64.b64encode(example).decode() for example in examples]),
        "odd": ("evaluate", "examples", [base64.b64encode(example).decode() for example in odd_examples]),
        **{f"canary_{canary['name']}": history([canary["context_movie_id"]]) for canary in canaries},
    }
    folder = tmp_path_factory.mktemp("asked")
    (folder / "requests.json").write_text(json.dumps(requests))
    script = Path(__file__).with_name("ask_model.py")
    command = [sys.executable, "-I", str(script), str(sample_run.model), "requests.json", "answers.npz"]
    # Plain TensorFlow: not even Keras 2 is asked for.
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "answers.npz"))


def ids(answers: Answers, name: str) -> list[int]:
    return answers[f"{name}/movie_id"][0].tolist()


def assert_same(answers: Answers, one: str, other: str) -> None:
    assert ids(answers, one) == ids(answers, other)
    np.testing.assert_allclose(answers[f"{one}/score"], answers[f"{other}/score"], rtol=1e-5, atol=1e-5)


def test_an_answer_is_a_hundred_movies_and_their_scores(answers, windows):
    assert answers["eval/movie_id"].shape == answers["eval/score"].shape == (len(windows), 100)
    assert answers["eval/movie_id"].dtype == np.int64
    assert answers["eval/score"].dtype == np.float32


@pytest.mark.parametrize("name", ["eval", "seen_too", "similar", "long", "unknown", "empty"])
def test_the_best_movie_is_first(answers, name):
    assert np.isfinite(answers[f"{name}/score"]).all()
    assert (np.diff(answers[f"{name}/score"], axis=1) <= 0).all()


@pytest.mark.parametrize("name", ["eval", "seen_too", "similar", "long", "unknown", "empty"])
def test_no_answer_holds_a_pad_an_unknown_movie_or_one_twice(answers, movies, name):
    for row in answers[f"{name}/movie_id"]:
        assert set(row) <= set(movies)
        assert len(set(row)) == len(row)


def test_what_was_watched_is_not_offered(answers, windows, movies):
    for row, (_, context, _) in zip(answers["eval/movie_id"], windows, strict=True):
        assert not set(row) & set(context)
    assert not set(ids(answers, "long")) & set(movies[:25])


def test_what_was_watched_is_offered_where_it_is_asked_for(answers, windows):
    offered = [
        bool(set(row) & set(context))
        for row, (_, context, _) in zip(answers["seen_too/movie_id"], windows, strict=True)
    ]
    assert np.mean(offered) > 0.9


def test_without_the_watched_ones_both_answers_are_the_same_list(answers, windows):
    for row, seen_too, (_, context, _) in zip(
        answers["eval/movie_id"].tolist(), answers["seen_too/movie_id"].tolist(), windows, strict=True
    ):
        new = [movie for movie in seen_too if movie not in context]
        assert row[: len(new)] == new


def test_zeros_count_for_nothing_wherever_they_stand(answers):
    assert_same(answers, "zeros", "plain")


def test_unknown_movies_are_passed_over(answers):
    assert_same(answers, "unknown_between", "plain")


def test_the_order_of_the_history_matters(answers):
    assert ids(answers, "plain") != ids(answers, "other_order")
    assert ids(answers, "plain") != ids(answers, "one")


def test_the_last_ten_of_a_long_history_are_read(answers):
    assert_same(answers, "long_seen_too", "last_seen_too")


def test_a_history_that_leaves_fewer_than_a_hundred_gets_what_is_left(answers, movies):
    left = len(movies) - 100
    assert sorted(ids(answers, "hundred")[:left]) == sorted(movies[100:])
    assert ids(answers, "hundred")[left:] == [0] * (100 - left)


def test_a_history_of_all_movies_gets_none_and_shortens_nobody_elses_answer(answers):
    assert ids(answers, "all") == [0] * 100
    assert set(answers["all/score"][0]) == {np.finfo(np.float32).min}
    np.testing.assert_array_equal(answers["beside_all/movie_id"][0], answers["plain/movie_id"][0])
    assert answers["beside_all/movie_id"][1].tolist() == [0] * 100


@pytest.mark.parametrize("name", ["empty", "pads", "unknown"])
def test_where_nothing_is_known_the_most_popular_movies_are_the_answer(answers, train_counts, name):
    counts = [train_counts[movie] for movie in ids(answers, name)]
    assert counts == sorted(train_counts.values(), reverse=True)[:100]


def test_a_batch_of_nothing_gets_an_answer_of_nothing(answers):
    assert answers["no_query/movie_id"].shape == answers["no_query/score"].shape == (0, 100)
    assert answers["no_example/rank"].shape == (0,)
    assert answers["no_example/top_movie_id"].shape == (0, 10)


def test_a_movie_is_not_similar_to_itself_and_an_unknown_one_to_nothing(answers, movies):
    *known, unknown = answers["similar/score"]
    for movie, row, score in zip(movies, answers["similar/movie_id"], known, strict=False):
        assert movie not in row
        assert 0 < score[0] <= 1 + 1e-6
    assert (unknown == 0).all()


def test_similarity_goes_both_ways(answers, movies):
    rows = zip(movies, answers["similar/movie_id"], answers["similar/score"], strict=False)
    score = {
        (movie, int(other)): value for movie, ids_, values in rows for other, value in zip(ids_, values, strict=True)
    }
    both_ways = [pair for pair in score if pair[::-1] in score]
    assert len(both_ways) > 1000
    for movie, other in both_ways:
        assert score[movie, other] == pytest.approx(score[other, movie], abs=1e-5)


def test_evaluation_gives_a_rank_for_each_example(answers, windows, movies):
    for name in ("rank", "rank_unfiltered", "rank_popularity", "rank_recent_popularity", "catalogue_size"):
        assert answers[f"evaluate/{name}"].shape == (len(windows),)
        assert answers[f"evaluate/{name}"].dtype == np.int64
    assert answers["evaluate/top_movie_id"].shape == (len(windows), 10)
    assert set(answers["evaluate/catalogue_size"]) == {len(movies)}


def test_evaluation_says_how_often_movies_are_labels_in_train(answers, windows, train_counts):
    for top, counts in zip(answers["evaluate/top_movie_id"], answers["evaluate/top_label_count"], strict=True):
        assert counts.tolist() == [train_counts[movie] for movie in top.tolist()]
    assert answers["evaluate/label_count"].tolist() == [train_counts[label] for _, _, label in windows]
    assert set(answers["evaluate/num_train_labels"]) == {train_counts.total()}


def test_a_label_that_train_does_not_know_counts_as_none_of_it(answers):
    assert answers["odd/label_count"][0] == 0


@pytest.mark.parametrize(("rank", "answer"), [("rank", "eval"), ("rank_unfiltered", "seen_too")])
def test_a_rank_is_the_labels_place_in_the_answer(answers, windows, rank, answer):
    for place, row, scores, (_, _, label) in zip(
        answers[f"evaluate/{rank}"], answers[f"{answer}/movie_id"], answers[f"{answer}/score"], windows, strict=True
    ):
        if label not in row:
            assert place > 100
        elif place <= 100:
            own = scores[row.tolist().index(label)]
            # Scores of different batches differ in the last digits, where a tie may lie.
            assert (scores > own + 1e-5).sum() < place <= (scores >= own - 1e-5).sum()


def test_leaving_out_what_was_watched_never_makes_a_rank_worse(answers):
    assert (answers["evaluate/rank"] <= answers["evaluate/rank_unfiltered"]).all()
    assert (answers["evaluate/rank"] < answers["evaluate/rank_unfiltered"]).any()


def test_the_rank_under_popularity_is_counted_in_train(answers, windows, movies, train_counts):
    for rank, (_, context, label) in zip(answers["evaluate/rank_popularity"], windows, strict=True):
        offered = [movie for movie in movies if movie not in context]
        assert rank == sum(train_counts[movie] >= train_counts[label] for movie in offered)


def test_the_catalogue_counts_the_train_labels_that_the_trainer_reads(counts_by_period, train_counts):
    assert {movie: sum(counts.values()) for movie, counts in counts_by_period.items()} == train_counts


def test_the_rank_under_recent_popularity_is_counted_in_the_last_periods_of_train(
    answers, windows, movies, counts_by_period, train_counts, sample_run
):
    catalogue = Catalogue.load(sample_run.artifact("ExampleGen", "examples") / CATALOGUE_FILE)
    first = 1 + max(max(counts) for counts in counts_by_period.values()) - choose_stretch(catalogue.train_labels)

    def popularity(movie: int) -> tuple[int, int]:
        counts = counts_by_period.get(movie, {})
        return sum(count for period, count in counts.items() if period >= first), train_counts[movie]

    for rank, (_, context, label) in zip(answers["evaluate/rank_recent_popularity"], windows, strict=True):
        offered = [movie for movie in movies if movie not in context]
        assert rank == sum(popularity(movie) >= popularity(label) for movie in offered)
    assert (answers["evaluate/rank_recent_popularity"] != answers["evaluate/rank_popularity"]).any()


def test_without_counts_by_period_recent_popularity_is_that_of_all_time(tmp_path):
    model = tf.saved_model.load(str(export_untrained_model(tmp_path / "model", num_movies=30)))
    example = tf.train.Example()
    example.features.feature["context_movie_id"].int64_list.value.extend([3, 4, *[0] * 8])
    example.features.feature["label_movie_id"].int64_list.value.append(0)
    examples = [with_integers(example.SerializeToString(), label_movie_id=[label]) for label in range(1, 32)]
    ranks = model.signatures["evaluate"](examples=tf.constant(examples))
    np.testing.assert_array_equal(ranks["rank_recent_popularity"], ranks["rank_popularity"])
    assert len(set(ranks["rank_popularity"].numpy())) > 20


def test_training_and_serving_see_the_same_history(answers):
    np.testing.assert_array_equal(answers["evaluate/top_movie_id"], answers["eval/movie_id"][:, :10])


def test_a_label_that_train_never_showed_ranks_behind_the_whole_catalogue(answers, movies):
    for name in ("rank", "rank_unfiltered", "rank_popularity", "rank_recent_popularity"):
        assert answers[f"odd/{name}"][0] == len(movies) + 1


def test_a_label_that_was_just_watched_can_not_be_offered(answers, movies):
    assert answers["odd/rank"][1] == len(movies) + 1
    assert answers["odd/rank_unfiltered"][1] <= len(movies)


def test_an_unknown_movie_in_an_examples_context_is_passed_over(answers):
    np.testing.assert_array_equal(answers["odd/top_movie_id"][2], answers["odd/top_movie_id"][3])
    assert answers["odd/top_movie_id"][2].tolist() == ids(answers, "plain")[:10]


def test_an_example_of_unknown_movies_is_answered_by_popularity(answers):
    assert answers["odd/top_movie_id"][4].tolist() == ids(answers, "unknown")[:10]
    assert answers["odd/rank"][4] == answers["odd/rank_popularity"][4]


def test_the_model_still_gives_the_answers_that_were_written_down_before_it_was_saved(answers, canaries):
    assert {canary["name"] for canary in canaries} == {"short", "ordinary", "long", "empty", "unknown", "gaps"}
    for canary in canaries:
        name = f"canary_{canary['name']}"
        assert ids(answers, name)[:10] == canary["movie_id"]
        np.testing.assert_allclose(answers[f"{name}/score"][0, :10], canary["score"], rtol=1e-4, atol=1e-5)


def test_the_catalogue_travels_with_the_model(sample_run):
    made = sample_run.work_dir / "data" / sample_run.settings.pipeline_name / "catalogue.jsonl"
    assert (sample_run.model / "assets.extra" / "catalogue.jsonl").read_bytes() == made.read_bytes()
