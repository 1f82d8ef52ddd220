"""What the manifest says of users, times and ties, which the examples don't tell."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from data_helpers import write_csv_release
from hypothesis import assume, given
from hypothesis import strategies as st
from plain_reference import PlainExample, PlainRating, plain_examples, plain_known, plain_split

from data.examples.manifest import MANIFEST_FILE, Manifest
from data.generate import generate
from data.options import GenerateOptions
from data.splits import SPLIT_NAMES, STRATEGIES
from data.timelines import user_blocks as blocks
from data.timelines.time_facts import TimeCounts, round_down
from data.timelines.timelines import RATING_DTYPE, build_timelines
from data.timelines.windows import label_rows

TWO_USERS = [
    # Two at the second 10, and the movie 1 comes again.
    *[PlainRating(1, movie, 4.0, time) for movie, time in [(1, 10), (2, 10), (3, 25), (1, 40)]],
    *[PlainRating(2, movie, 4.0, time) for movie, time in [(5, 30), (6, 31), (7, 131)]],
]


def counted(ratings: list[PlainRating], is_train: list[bool]) -> TimeCounts:
    """Count timelines, given which of their labels train."""
    rows = np.array([tuple(rating) for rating in ratings], dtype=RATING_DTYPE)
    timelines = build_timelines(rows, min_rating=2.0, min_timeline_length=3)
    return TimeCounts.of(timelines, label_rows(timelines), np.array(is_train))


def test_ties_repeats_cold_users_and_waits_are_counted():
    # User 1 trains up to 25, user 2 does not train.
    facts = counted(TWO_USERS, [True, True, False, False, False]).summary()
    assert (facts.ratings, facts.users) == (7, 2)
    assert facts.tied == 2
    assert facts.repeated == 1
    assert facts.cold_users == 1
    assert facts.late_labels == 0
    assert (facts.train.labels, facts.train.users, facts.train.first, facts.train.last) == (2, 1, 10, 25)
    assert (facts.eval.labels, facts.eval.users, facts.eval.first, facts.eval.last) == (3, 2, 31, 131)
    assert (facts.train.at_once, facts.train.median_wait, facts.train.long_wait) == (1, 0, 15)
    # Waits of 15, 1 and 100 seconds, of which the last is rounded down.
    assert (facts.eval.at_once, facts.eval.median_wait, facts.eval.long_wait) == (0, 15, 100)


def test_a_train_label_is_late_where_it_follows_an_eval_label_of_the_same_user():
    # User 1: eval at 10, train at 25 and 40. User 2: train at 31, which is later than 10, and eval at 131.
    assert counted(TWO_USERS, [False, True, True, True, False]).late_labels == 2
    # One second is not later than itself.
    at_once = [PlainRating(1, movie, 4.0, time) for movie, time in [(1, 1), (2, 5), (3, 5)]]
    assert counted(at_once, [False, True]).late_labels == 0


def test_no_timelines_count_nothing_and_an_empty_split_has_no_facts():
    empty = np.empty(0, dtype=RATING_DTYPE)
    timelines = build_timelines(empty, min_rating=2.0, min_timeline_length=3)
    counts = TimeCounts.of(timelines, label_rows(timelines), np.empty(0, dtype=bool))
    assert counts.ratings == counts.users == counts.tied == counts.train.labels == 0
    assert counts.summary() is None
    whole = counted(TWO_USERS, [True, False, True, False, True])
    for merged in (counts.merge(whole), whole.merge(TimeCounts.nothing())):
        assert merged.summary() == whole.summary()


@given(st.integers(0, 2**40))
def test_a_rounded_wait_is_less_than_a_sixteenth_too_short(wait: int):
    (rounded,) = round_down(np.array([wait])).tolist()
    assert 0 <= wait - rounded <= wait / 16
    assert rounded == wait or wait >= 32


def plain_facts(ratings: list[PlainRating], train: list[PlainExample], held_out: list[PlainExample]) -> dict:
    """Count once more, user by user."""
    timelines = defaultdict(list)
    for rating in ratings:
        if rating.stars >= 2:
            timelines[rating.user].append(rating)
    timelines = {
        user: sorted(timeline, key=lambda rating: rating.time)
        for user, timeline in timelines.items()
        if len(timeline) >= 3
    }
    first_tested = {}
    for example in held_out:
        first_tested[example.user] = min(example.label_time, first_tested.get(example.user, math.inf))

    def of(examples: list[PlainExample]) -> dict:
        waits = sorted(example.label_time - timelines[example.user][example.position - 1].time for example in examples)
        rounded = [wait if wait < 32 else wait >> (wait.bit_length() - 5) << (wait.bit_length() - 5) for wait in waits]
        return {
            "labels": len(examples),
            "users": len({example.user for example in examples}),
            "first": min(example.label_time for example in examples),
            "last": max(example.label_time for example in examples),
            "at_once": waits.count(0),
            "median_wait": rounded[math.ceil(0.5 * len(waits)) - 1],
            "long_wait": rounded[math.ceil(0.9 * len(waits)) - 1],
        }

    seconds = Counter((rating.user, rating.time) for timeline in timelines.values() for rating in timeline)
    return {
        "ratings": sum(map(len, timelines.values())),
        "users": len(timelines),
        "tied": sum(count for count in seconds.values() if count > 1),
        "repeated": sum(len(timeline) - len({rating.movie for rating in timeline}) for timeline in timelines.values()),
        "cold_users": len({example.user for example in held_out} - {example.user for example in train}),
        "late_labels": sum(example.label_time > first_tested.get(example.user, math.inf) for example in train),
        "train": of(train),
        "eval": of(held_out),
    }


@given(
    ratings=st.lists(
        st.builds(
            PlainRating,
            user=st.integers(1, 5),
            movie=st.integers(1, 6),
            stars=st.sampled_from([1.0, 3.0, 5.0]),
            time=st.integers(10**9, 10**9 + 8) | st.integers(10**9, 2 * 10**9),
        ),
        min_size=5,
        max_size=60,
        unique=True,
    ),
    split=st.sampled_from(SPLIT_NAMES),
    fraction=st.sampled_from([0.25, 0.5, 0.9]),
)
def test_any_timelines_are_counted_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, ratings: list[PlainRating], split: str, fraction: float
):
    train, held_out = plain_split(plain_examples(ratings, {}), split, train_fraction=fraction)
    if STRATEGIES[split].known_only:
        held_out = plain_known(train, held_out)
    assume(train and held_out)
    folder = tmp_path_factory.mktemp("any")
    source = write_csv_release(folder / "source", ratings, {})
    options = GenerateOptions(release="ml-latest-small", split=split, train_fraction=fraction)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BYTES_PER_BLOCK", 500)
        manifest = generate(options, folder / "out", source=source)
    assert manifest.times.model_dump() == plain_facts(ratings, train, held_out)


def test_a_manifest_of_before_says_nothing_of_times_and_is_read_all_the_same(tmp_path: Path, small_release: Path):
    options = GenerateOptions(release="ml-latest-small")
    written = generate(options, tmp_path / "out", source=small_release)
    assert written.times is not None
    path = tmp_path / "out" / MANIFEST_FILE
    content = json.loads(path.read_text())
    del content["times"]
    path.write_text(json.dumps(content))
    earlier = Manifest.load(tmp_path / "out")
    assert earlier.times is None
    assert earlier.digest == written.digest
    assert generate(options, tmp_path / "out", source=small_release).times is None, "what is there is kept"
