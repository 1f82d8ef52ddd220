"""Each split keeps the contract of all, and its own promise."""

from __future__ import annotations

from hypothesis import given
from split_contract import MANY, SplitContract, by_user, divide, fractions, inherited, options_of, releases

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
        assert found.train_until == max(found.train.values(), default=None)


class TestLeaveOneOutSplit(SplitContract):
    name = "leave_one_out"
    uses = ()

    @inherited
    @given(releases)
    def test_eval_is_exactly_each_users_last(self, ratings):
        lengths = {user: len(of_user) for user, of_user in by_user(ratings).items()}
        found = divide(self.strategy(), [ratings])
        assert found.held_out.keys() == {(user, length - 1) for user, length in lengths.items() if length >= 3}


class GlobalTimeContract(SplitContract):
    """What both splits at one time for everybody promise."""

    uses = ("train_fraction",)
    is_by_time = True
    uses_every_example = False

    @inherited
    @given(releases, fractions)
    def test_train_ends_at_the_earliest_time_that_fills_its_share_of_all_ratings(self, ratings, fraction):
        users = {user: rows for user, rows in by_user(ratings).items() if len(rows) >= 3}
        times = sorted(row.time for rows in users.values() for row in rows)
        share = round(len(times) * fraction)
        found = divide(self.strategy(train_fraction=fraction), [ratings])
        assert found.train_until == (times[share - 1] if share else None)

    @inherited
    @given(releases, fractions)
    def test_nobody_is_asked_for_whom_train_has_no_label(self, ratings, fraction):
        found = divide(self.strategy(train_fraction=fraction), [ratings])
        assert {user for user, _ in found.held_out} <= {user for user, _ in found.train}


class TestGlobalTimeSplit(GlobalTimeContract):
    name = "global_time"

    @inherited
    @given(releases, fractions)
    def test_of_a_known_user_every_label_trains_or_evaluates(self, ratings, fraction):
        found = divide(self.strategy(train_fraction=fraction), [ratings])
        for user in {user for user, _ in found.train}:
            asked = {position for of_user, position in [*found.train, *found.held_out] if of_user == user}
            assert asked == set(range(1, len(by_user(ratings)[user])))


class TestGlobalTimeLastSplit(GlobalTimeContract):
    name = "global_time_last"

    @inherited
    @given(releases, fractions)
    def test_only_last_ratings_are_asked_for_and_train_is_that_of_global_time(self, ratings, fraction):
        found = divide(self.strategy(train_fraction=fraction), [ratings])
        users = by_user(ratings)
        assert all(position == len(users[user]) - 1 for user, position in found.held_out)
        successive = divide(options_of("global_time", train_fraction=fraction).strategy, [ratings])
        assert found.train == successive.train
        assert found.held_out.items() <= successive.held_out.items()


def test_every_split_keeps_the_contract():
    tested = {test.name for test in globals().values() if isinstance(test, type) and hasattr(test, "name")}
    assert tested == set(STRATEGIES)
