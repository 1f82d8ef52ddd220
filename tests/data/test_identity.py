"""The data identity: it changes with all that moves an example between train and eval, and with nothing else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from data_helpers import read_csv_release
from hypothesis import given
from hypothesis import strategies as st
from plain_reference import plain_examples, plain_split

from data.examples.manifest import Manifest
from data.generate import generate
from data.identity import DataIdentity
from data.options import GenerateOptions, deciding_options
from data.splits import SPLIT_NAMES, STRATEGIES
from data.splits.base import CutSplit
from data.splits.division import divide
from data.splits.ranks import find_cut, locate_cut, rank_histogram, ranks_in_bin
from data.timelines.frequent_movies import RatingsOfMovies
from data.timelines.timelines import RATING_DTYPE, build_timelines

OTHER = {
    "release": "ml-latest-small",
    "min_timeline_length": 6,
    "max_context_length": 4,
    "max_context_movie_genre_length": 3,
    "min_rating": 3.5,
    "min_movie_ratings": 22,
    "train_fraction": 0.6,
    "seed": 7,
    "shards": 5,
    "timelines": True,
}
"""Another value for each option of a release."""

RANKED = {"leave_out": "history"}
"""Options that move no example, but what it is ranked against."""

OWN = {"columns": {"item": "sku"}, "item_ids": "text", "duplicates": "drop"}
"""Options of own data, besides their name."""

Labels = set[tuple[int, int, int]]


def invented_ratings() -> np.ndarray:
    """Forty users with two to eleven ratings each, in the order of a release's file."""
    rng = np.random.default_rng(3)
    rows = [
        (user, movie, rng.choice([1.0, 2.0, 3.0, 4.0, 5.0]), int(rng.integers(0, 10_000)))
        for user in range(1, 41)
        for movie in rng.permutation(60)[: rng.integers(2, 12)] + 1
    ]
    return np.array(rows, dtype=RATING_DTYPE)


def split(ratings: np.ndarray, options: GenerateOptions) -> tuple[Labels, Labels, int | None]:
    """Return train and eval labels as (user, movie, time), and the cut."""
    only = None
    if options.min_movie_ratings is not None:
        counted = RatingsOfMovies(options.min_rating)
        list(counted.counted([ratings]))
        only = counted.at_least(options.min_movie_ratings)
    timelines = build_timelines(
        ratings,
        min_rating=options.min_rating,
        min_timeline_length=options.min_timeline_length,
        only_movies=only,
    )
    cut = None
    if isinstance(options.strategy, CutSplit):
        ranks = options.strategy.ranks(timelines, options.strategy.ranked_rows(timelines))
        cut_bin = locate_cut(rank_histogram(ranks), options.train_fraction)
        cut = find_cut(ranks_in_bin(ranks, cut_bin), cut_bin)
    found = divide(timelines, options.strategy, cut)
    labels = timelines.ratings[found.rows]

    def chosen(which: np.ndarray) -> Labels:
        return {(int(row["user"]), int(row["movie"]), int(row["time"])) for row in labels[which]}

    return chosen(found.is_train), chosen(found.is_eval), cut


def options_of(split_name: str, **changes: object) -> GenerateOptions:
    return GenerateOptions.model_validate({"release": "sample", "split": split_name, **changes})


def test_another_value_is_tried_for_every_option():
    assert set(OTHER) | set(RANKED) | set(OWN) | {"split", "name", "words"} == set(GenerateOptions.model_fields)


def test_words_decide_nothing():
    plain = GenerateOptions.model_validate({"name": "shop"})
    changed = GenerateOptions.model_validate({"name": "shop", "words": {"one": "article"}})
    assert deciding_options(changed) == deciding_options(plain)


@pytest.mark.parametrize("name", OWN)
def test_what_decides_how_own_files_are_read_is_of_the_identity(name):
    plain = GenerateOptions.model_validate({"name": "shop"})
    changed = GenerateOptions.model_validate({"name": "shop", name: OWN[name]})
    assert deciding_options(plain)[name] is None
    assert deciding_options(changed)[name] is not None


@pytest.mark.parametrize("split_name", SPLIT_NAMES)
@pytest.mark.parametrize("name", sorted(set(OTHER) - {"release"}))
def test_an_option_is_of_the_identity_if_and_only_if_it_moves_examples(split_name, name):
    one, other = options_of(split_name), options_of(split_name, **{name: OTHER[name]})
    ratings = invented_ratings()
    moves = split(ratings, one)[:2] != split(ratings, other)[:2]
    assert moves == (deciding_options(one) != deciding_options(other))


def test_the_split_itself_and_the_data_set_are_of_the_identity():
    identities = [
        DataIdentity(data_set=data_set, source_digest="a", options=deciding_options(options_of(name)))
        for name in SPLIT_NAMES
        for data_set in ("sample", "ml-1m")
    ]
    for one in identities:
        for other in identities:
            assert (one.why_other(other) is None) == (one is other)


def test_what_differs_is_told():
    def identity(data_set: str = "sample", source: str = "a", **changes: object) -> DataIdentity:
        options = deciding_options(options_of("random", **changes))
        return DataIdentity(data_set=data_set, source_digest=source, options=options)

    now = identity(seed=43, min_rating=3.5)
    assert now.why_other(now) is None
    assert now.why_other(identity()) == "min_rating was 2 and is 3.5, seed was 42 and is 43"
    assert identity(source="b").why_other(identity()) == "the source's content changed"
    assert identity("ml-1m", "b").why_other(identity()) == "the data set was sample and is ml-1m"
    left_out = DataIdentity(data_set="sample", source_digest="a", options=deciding_options(options_of("leave_one_out")))
    assert left_out.why_other(identity()) == (
        "split was random and is leave_one_out, train_fraction was 0.9 and is none, seed was 42 and is none"
    )


@pytest.mark.parametrize("split_name", ["random", "leave_one_out"])
def test_more_or_fewer_ratings_turn_train_labels_into_eval_labels_and_so_are_other_data(split_name):
    ratings = invented_ratings()
    options = options_of(split_name)
    train = split(ratings, options)[0]
    changed = [ratings[:keep] for keep in range(len(ratings) // 2, len(ratings))]
    assert any(train & split(fewer, options)[1] for fewer in changed)
    assert "seed" not in deciding_options(options) or any(
        split(earlier, options)[0] & split(later, options)[1] for earlier, later in pairwise(changed)
    ), "appending alone moves the random cut"
    identity = DataIdentity(data_set="sample", source_digest="a", options=deciding_options(options))
    assert identity.why_other(identity.model_copy(update={"source_digest": "b"})) is not None


@given(
    st.sampled_from([name for name in SPLIT_NAMES if STRATEGIES[name].is_by_time]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 60),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_a_cut_by_time_that_does_not_move_back_keeps_every_train_label_out_of_eval(name, seed, added, fraction):
    rng = np.random.default_rng(seed)
    options = options_of(name, train_fraction=fraction)
    before = invented_ratings()
    kept = before[rng.random(len(before)) > rng.choice([0.0, 0.1])]
    new = np.zeros(added, dtype=RATING_DTYPE)
    new["user"], new["movie"] = rng.integers(1, 60, added), rng.integers(61, 90, added)
    new["stars"], new["time"] = 4.0, rng.integers(rng.choice([0, 9_000]), 20_000, added)
    after = np.concatenate([kept, new])
    train, _, cut_before = split(before, options)
    _, held_out, cut_after = split(after, options)

    def identity(digest: str, cut: int | None) -> DataIdentity:
        until = None if cut is None else cut >> 32
        return DataIdentity(
            data_set="sample", source_digest=digest, options=deciding_options(options), train_until=until
        )

    if identity("b", cut_after).why_other(identity("a", cut_before)) is None:
        assert not train & held_out
    else:
        assert cut_after is None or cut_before is None or cut_after < cut_before


def test_of_a_cut_by_time_that_moved_back_and_of_one_that_is_not_known_nothing_is_proved():
    def identity(digest: str, until: int | None) -> DataIdentity:
        options = deciding_options(options_of("temporal"))
        return DataIdentity(data_set="sample", source_digest=digest, options=options, train_until=until)

    assert identity("b", 100).why_other(identity("a", 100)) is None
    assert identity("b", 101).why_other(identity("a", 100)) is None
    assert identity("b", 99).why_other(identity("a", 100)) == "the source's content changed"
    assert identity("b", 100).why_other(identity("a", None)) == "the source's content changed"
    assert identity("b", None).why_other(identity("a", 100)) == "the source's content changed"
    assert identity("a", 100).why_other(identity("a", None)) is None


def test_an_identity_survives_its_json_and_anything_else_is_none():
    identity = DataIdentity(data_set="sample", source_digest="a", options=deciding_options(options_of("temporal")))
    assert DataIdentity.parse(identity.model_dump_json()) == identity
    assert DataIdentity.parse("{}") is None
    assert DataIdentity.parse("no JSON") is None


def test_a_split_uses_options_that_there_are():
    used = {name: set(strategy.uses()) for name, strategy in STRATEGIES.items()}
    assert all(names <= set(GenerateOptions.model_fields) for names in used.values())
    assert used == {
        "random": {"train_fraction", "seed"},
        "leave_one_out": set(),
        "temporal": {"train_fraction"},
        "global_time": {"train_fraction"},
        "global_time_last": {"train_fraction"},
    }


@pytest.mark.parametrize("split_name", SPLIT_NAMES)
def test_what_is_left_out_when_ranking_is_of_the_identity_though_it_moves_no_example(split_name):
    plain, whole = options_of(split_name), options_of(split_name, **RANKED)
    assert split(invented_ratings(), plain) == split(invented_ratings(), whole)
    assert deciding_options(plain) == {**deciding_options(whole), "leave_out": None}
    assert deciding_options(whole)["leave_out"] == "history"


def test_an_identity_of_before_the_options_that_are_off_by_default_is_still_the_same():
    now = DataIdentity(data_set="sample", source_digest="a", options=deciding_options(options_of("random")))
    of_then = {name: value for name, value in now.options.items() if name not in ("min_movie_ratings", "leave_out")}
    assert now.why_other(now.model_copy(update={"options": of_then})) is None


@pytest.mark.parametrize("split_name", SPLIT_NAMES)
@pytest.mark.parametrize("beam_args", [[], ["--direct_num_workers=1"]], ids=["threads", "Beam"])
def test_the_manifest_says_when_train_ends_if_and_only_if_the_split_is_by_time(
    small_release: Path, tmp_path: Path, split_name: str, beam_args: list[str]
):
    options = GenerateOptions(release="ml-latest-small", split=split_name, train_fraction=0.7)
    manifest = generate(options, tmp_path / "out", source=small_release, beam_args=beam_args)
    train, held_out = plain_split(plain_examples(*read_csv_release(small_release)), split_name, train_fraction=0.7)
    newest = max(example.label_time for example in train)
    assert (manifest.train_until is not None) == STRATEGIES[split_name].is_by_time
    if manifest.train_until is not None:
        assert newest <= manifest.train_until < min(example.label_time for example in held_out)
    assert Manifest.load(tmp_path / "out").train_until == manifest.train_until
