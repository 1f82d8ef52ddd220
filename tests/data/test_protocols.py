"""What the protocols of other papers promise, from ratings to shards, against the plain reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_helpers import read_csv_release, read_examples, write_csv_release
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plain_reference import PlainExample, PlainRating, plain_examples, plain_known, plain_split

from data.generate import generate
from data.options import GenerateOptions
from data.splits import SPLIT_NAMES, STRATEGIES

releases = st.lists(
    st.builds(
        PlainRating,
        user=st.integers(1, 6),
        movie=st.integers(1, 8),
        stars=st.sampled_from([0.5, 3.0, 5.0]),
        time=st.integers(10**9, 10**9 + 12),
    ),
    min_size=20,
    max_size=60,
    unique=True,
)


def found(folder: Path, split: str) -> list[tuple]:
    return [
        (example["context_movie_id"], example["label_movie_id"], example.get("seen_movie_id", ()))
        for example in read_examples(folder, split)
    ]


def expected(examples: list[PlainExample], *, with_history: bool) -> list[tuple]:
    return [
        (example.context_movie_id, (example.label_movie_id,), example.history if with_history else ())
        for example in examples
    ]


@settings(max_examples=30)
@given(
    ratings=releases,
    split=st.sampled_from(SPLIT_NAMES),
    least=st.sampled_from([None, 2, 5]),
    min_rating=st.sampled_from([0.0, 2.0]),
)
def test_any_ratings_give_the_references_examples_and_histories_and_nothing_held_out_is_in_train(
    tmp_path_factory: pytest.TempPathFactory,
    ratings: list[PlainRating],
    split: str,
    least: int | None,
    min_rating: float,
):
    examples = plain_examples(
        ratings,
        {},
        min_rating=min_rating,
        min_timeline_length=2,
        min_movie_ratings=least or 1,
        max_context_length=3,
    )
    train, everybody = plain_split(examples, split, train_fraction=0.6)
    held_out = plain_known(train, everybody) if STRATEGIES[split].known_only else everybody
    assume(train and held_out)
    folder = tmp_path_factory.mktemp("any")
    source = write_csv_release(folder / "source", ratings, {})
    options = GenerateOptions(
        release="ml-latest-small",
        split=split,
        train_fraction=0.6,
        min_rating=min_rating,
        min_timeline_length=2,
        min_movie_ratings=least,
        max_context_length=3,
        leave_out="history",
    )
    manifest = generate(options, folder / "out", source=source)
    assert found(folder / "out", "train") == expected(train, with_history=False)
    assert found(folder / "out", "eval") == expected(held_out, with_history=True)
    if STRATEGIES[split].known_only:
        assert manifest.left_out.of_movies == len(everybody) - len(held_out)
        assert manifest.left_out.of_users == _labels_of_unknown_users(examples, train, manifest.train_until, split)
    if STRATEGIES[split].keeps_users_order:
        asked = {(example.user, example.position) for example in held_out}
        used = {(example.user, place) for example in train for place in range(example.position + 1)}
        assert not asked & used


def _labels_of_unknown_users(examples: list[PlainExample], train: list[PlainExample], until: int, split: str) -> int:
    known = {example.user for example in train}
    later = [example for example in examples if example.label_time > until and example.user not in known]
    return sum(example.is_last or split == "global_time" for example in later)


def test_ratings_at_one_second_keep_the_order_of_the_file_so_that_the_last_line_is_the_one_held_out(tmp_path: Path):
    ratings = [PlainRating(user, movie, 4.0, 10**9) for user in (1, 2) for movie in (30 + user, 20, 50, 10)]
    source = write_csv_release(tmp_path / "source", ratings, {})
    options = GenerateOptions(release="ml-latest-small", split="leave-one-out", leave_out="history")
    generate(options, tmp_path / "out", source=source)
    asked = {(seen, label) for _, (label,), seen in found(tmp_path / "out", "eval")}
    assert asked == {((31, 20, 50), 10), ((32, 20, 50), 10)}


@pytest.mark.parametrize("split", SPLIT_NAMES)
def test_histories_are_beside_the_examples_of_before_whose_bytes_they_leave(
    split: str, small_release: Path, tmp_path: Path
):
    plain, whole = (
        generate(
            GenerateOptions(release="ml-latest-small", split=split, train_fraction=0.7, leave_out=leave_out),
            tmp_path / str(leave_out),
            source=small_release,
        )
        for leave_out in (None, "history")
    )
    assert plain.shards_of("train") == whole.shards_of("train")
    with_history = read_examples(tmp_path / "history", "eval")
    assert all(example.pop("seen_movie_id") for example in with_history)
    assert with_history == read_examples(tmp_path / "None", "eval")


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_beam_writes_the_same_histories_and_counts_the_same_as_left_out(
    split: str, small_release: Path, tmp_path: Path
):
    options = GenerateOptions(
        release="ml-latest-small", split=split, train_fraction=0.7, leave_out="history", min_movie_ratings=2
    )
    here = generate(options, tmp_path / "here", source=small_release)
    there = generate(options, tmp_path / "there", source=small_release, beam_args=["--direct_num_workers=1"])
    assert here.shards == there.shards
    assert here.left_out == there.left_out


def test_movies_with_few_ratings_are_left_out_before_users_are_counted(small_release: Path, tmp_path: Path):
    options = GenerateOptions(release="ml-latest-small", min_movie_ratings=5, min_timeline_length=5)
    generate(options, tmp_path / "out", source=small_release)
    examples = plain_examples(*read_csv_release(small_release), min_movie_ratings=5, min_timeline_length=5)
    train, held_out = plain_split(examples, "random")
    assert found(tmp_path / "out", "train") == expected(train, with_history=False)
    assert found(tmp_path / "out", "eval") == expected(held_out, with_history=False)
