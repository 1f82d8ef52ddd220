"""Each split keeps the contract of all, and its own promise."""

from __future__ import annotations

from hypothesis import given
from split_contract import MANY, SplitContract, by_user, divide, fractions, inherited, releases

from data.splits import STRATEGIES


class TestRandomSplit(SplitContract):
    name = "random"
    uses = ("train_fraction", "seed")

    @inherited
    @given(releases, fractions)
    def test_train_is_exactly_the_rounded_share(self, ratings, fraction):
        found = divide(self.strategy(train_fraction=fraction), [ratings])
        assert len(found.train) == round((len(found.train) + len(found.held_out)) * fraction)

    def test_a_user_has_later_examples_in_train_than_in_eval(self):
        found = divide(self.strategy(train_fraction=0.5), [MANY])
        assert min(found.held_out.values()) < max(found.train.values())


class TestTemporalSplit(SplitContract):
    name = "temporal"
    uses = ("train_fraction",)
    is_by_time = True

    @inherited
    @given(releases, fractions)
    def test_train_ends_at_the_earliest_time_that_fills_its_share(self, ratings, fraction):
        found = divide(self.strategy(train_fraction=fraction), [ratings])
        share = round((len(found.train) + len(found.held_out)) * fraction)
        assert len(found.train) >= share
        assert sum(time < found.train_until for time in found.train.values()) < share or not share


class TestLeaveOneOutSplit(SplitContract):
    name = "leave_one_out"
    uses = ()

    @inherited
    @given(releases)
    def test_eval_is_exactly_each_users_last(self, ratings):
        lengths = {user: len(of_user) for user, of_user in by_user(ratings).items()}
        found = divide(self.strategy(), [ratings])
        assert found.held_out.keys() == {(user, length - 1) for user, length in lengths.items() if length >= 3}


def test_every_split_keeps_the_contract():
    assert {tested.name for tested in SplitContract.__subclasses__()} == set(STRATEGIES)
