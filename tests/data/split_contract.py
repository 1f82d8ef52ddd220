"""What every split promises, as tests that a split's own test class inherits."""

from __future__ import annotations

import doctest
import inspect
import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from plain_reference import PlainRating, plain_examples, plain_split

from data.options import GenerateOptions
from data.splits import STRATEGIES, SplitStrategy
from data.splits.base import CutSplit
from data.splits.division import divide as divide_labels
from data.splits.ranks import find_cut, locate_cut, rank_histogram, ranks_in_bin
from data.timelines.timelines import RATING_DTYPE, Timelines, build_timelines
from data.timelines.value_tally import ValueTally

# Each test is run by several classes, which is what a contract is for.
inherited = settings(
    settings.default, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
)

MANY = [
    PlainRating(user, 100 * user + place, 4.0, 1_000 + 7 * place + user) for user in range(40) for place in range(9)
]

_few = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1_000, 1_030) | st.integers(631_152_000, 4_102_444_800)), max_size=60
).map(lambda rows: [PlainRating(user, movie, 4.0, time) for movie, (user, time) in enumerate(rows, 1)])

releases = _few | st.integers(40, len(MANY)).map(lambda number: MANY[:number])
"""Ratings in the order of a file, some at one time: of few users in any order, or of many."""

fractions = st.floats(0.05, 0.95)
seeds = st.integers(0, 2**63 - 1)


class Divided(NamedTuple):
    """What trains and what does not, as (user, position) with the label's time, and when train ends."""

    train: dict[tuple[int, int], int]
    held_out: dict[tuple[int, int], int]
    train_until: int | None


def options_of(name: str, **changes: Any) -> GenerateOptions:
    return GenerateOptions.model_validate({"release": "sample", "split": name, **changes})


def divide(strategy: SplitStrategy, blocks: Sequence[Sequence[PlainRating]]) -> Divided:
    """Split a release block by block, as the generator does."""
    parts = [_timelines(block) for block in blocks]
    cut = _cut(strategy, parts) if isinstance(strategy, CutSplit) else None
    train, held_out = {}, {}
    for timelines in parts:
        found = divide_labels(timelines, strategy, cut)
        for chosen in (found.is_train, found.is_eval):
            assert chosen.dtype == bool
            assert chosen.shape == found.rows.shape
        for group, chosen in ((train, found.is_train), (held_out, found.is_eval)):
            for row in found.rows[chosen].tolist():
                user, time = timelines.ratings[["user", "time"]][row].item()
                group[user, int(timelines.positions[row])] = time
    return Divided(train, held_out, strategy.train_until(cut))


def _timelines(ratings: Sequence[PlainRating]) -> Timelines:
    return build_timelines(
        np.array([tuple(rating) for rating in ratings], dtype=RATING_DTYPE), min_rating=2.0, min_timeline_length=3
    )


def _cut(strategy: Any, parts: Sequence[Timelines]) -> int | None:
    ranks = [strategy.ranks(part, strategy.ranked_rows(part)) for part in parts]
    cut_bin = locate_cut(np.sum([rank_histogram(of_block) for of_block in ranks], axis=0), strategy.train_fraction)
    in_bin = ValueTally.of(np.empty(0, dtype=np.uint64))
    for of_block in ranks:
        in_bin = in_bin.merge(ranks_in_bin(of_block, cut_bin))
    return find_cut(in_bin, cut_bin)


def by_user(ratings: Sequence[PlainRating]) -> Mapping[int, list[PlainRating]]:
    users: dict[int, list[PlainRating]] = {}
    for rating in ratings:
        users.setdefault(rating.user, []).append(rating)
    return users


class SplitContract:
    """Every split's test inherits this, and states by hand what the strategy is."""

    name: ClassVar[str]
    uses: ClassVar[tuple[str, ...]]
    is_by_time: ClassVar[bool] = False
    uses_every_example: ClassVar[bool] = True

    def strategy(self, **changes: Any) -> SplitStrategy:
        return options_of(self.name, **changes).strategy

    def test_it_is_listed_and_made_with_the_options_that_it_uses(self):
        strategy = self.strategy(train_fraction=0.25, seed=5)
        given_ = {"train_fraction": 0.25, "seed": 5}
        assert type(strategy) is STRATEGIES[self.name]
        assert vars(strategy) == {name: given_[name] for name in self.uses}
        assert pickle.loads(pickle.dumps(strategy)) == strategy, "workers get it"  # noqa: S301

    def test_its_docstring_draws_two_users_as_they_are_split(self):
        strategy = STRATEGIES[self.name]
        drawing = inspect.getdoc(strategy)
        assert "\nuser 1 " in drawing
        assert "\nuser 2 " in drawing
        done = doctest.testmod(sys.modules[strategy.__module__])
        assert done.attempted >= 2
        assert done.failed == 0

    @inherited
    @given(releases, fractions, seeds)
    def test_examples_are_train_or_eval_as_the_plain_reference_has_it(self, ratings, fraction, seed):
        found = divide(self.strategy(train_fraction=fraction, seed=seed), [ratings])
        examples = plain_examples(ratings, {})
        assert not found.train.keys() & found.held_out.keys()
        all_of_them = {(each.user, each.position) for each in examples}
        assert found.train.keys() | found.held_out.keys() <= all_of_them
        if self.uses_every_example:
            assert found.train.keys() | found.held_out.keys() == all_of_them
        train, held_out = plain_split(examples, self.name, train_fraction=fraction, seed=seed)
        assert found.train.keys() == {(each.user, each.position) for each in train}
        assert found.held_out.keys() == {(each.user, each.position) for each in held_out}

    @inherited
    @given(releases, fractions, seeds, st.data())
    def test_neither_the_order_of_users_nor_blocks_move_an_example(self, ratings, fraction, seed, data):
        strategy = self.strategy(train_fraction=fraction, seed=seed)
        users = by_user(ratings)
        order = data.draw(st.permutations(list(users)))
        bounds = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
        blocks = [
            [rating for user in order[start:stop] for rating in users[user]]
            for start, stop in zip([0, *bounds], [*bounds, len(order)], strict=True)
        ]
        assert divide(strategy, blocks) == divide(strategy, [ratings])

    @inherited
    @given(releases, fractions, seeds, st.randoms(use_true_random=False))
    def test_movies_and_stars_move_no_example(self, ratings, fraction, seed, random):
        strategy = self.strategy(train_fraction=fraction, seed=seed)
        others = [row._replace(movie=random.randint(1, 10**6), stars=random.choice([2.0, 5.0])) for row in ratings]
        assert divide(strategy, [others]) == divide(strategy, [ratings])

    def test_another_seed_moves_examples_if_and_only_if_it_uses_one(self):
        one, other = (divide(self.strategy(seed=seed), [MANY]) for seed in (1, 2))
        assert (one != other) == ("seed" in self.uses)

    @inherited
    @given(releases, fractions, fractions)
    def test_a_larger_share_keeps_all_of_train_and_counts_only_if_it_uses_one(self, ratings, one, other):
        small, large = (divide(self.strategy(train_fraction=share), [ratings]) for share in sorted([one, other]))
        assert small.train.keys() <= large.train.keys()
        assert "train_fraction" in self.uses or small == large

    def test_neither_train_nor_eval_of_many_users_is_empty_at_any_share(self):
        for share in (0.05, 0.5, 0.9, 0.95):
            found = divide(self.strategy(train_fraction=share), [MANY])
            assert found.train
            assert found.held_out

    def test_a_release_without_examples_has_neither(self):
        assert divide(self.strategy(), [[], MANY[:2]]) == Divided({}, {}, None)

    @inherited
    @given(releases, fractions)
    def test_train_ends_by_the_time_that_it_tells_and_before_eval_or_tells_none(self, ratings, fraction):
        found = divide(self.strategy(train_fraction=fraction), [ratings])
        assert STRATEGIES[self.name].is_by_time == self.is_by_time
        if not self.is_by_time:
            assert found.train_until is None
        else:
            assume(found.train)
            assert max(found.train.values()) <= found.train_until
            assert all(time > found.train_until for time in found.held_out.values())
