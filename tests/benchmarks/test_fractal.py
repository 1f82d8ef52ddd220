"""Expanded ratings keep what makes the real ones real."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fractal import Ratings, expand, kept_shares

COLUMNS = ("user", "item", "stars", "time")


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    random = np.random.default_rng(1)
    weights = 1 / np.arange(1, 201)
    parts = [random.choice(200, 30, replace=False, p=weights / weights.sum()) for _ in range(80)]
    items = np.concatenate(parts)
    users = np.repeat(np.arange(80), 30)
    return Ratings(users, items, random.integers(1, 6, len(items)).astype(float), 10**9 + np.arange(len(items)))


def whole(ratings: Ratings, num_ratings: int) -> Ratings:
    parts = list(expand(ratings, num_ratings))
    return Ratings(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


def rows(ratings: Ratings, users: int, items: int) -> set[tuple[float, ...]]:
    """Return the ratings, users and items counted within their block."""
    columns = (ratings.user % users, ratings.item % items, ratings.stars, ratings.time)
    return set(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("times", [1, 4, 30])
def test_there_are_as_many_as_are_asked_for_and_no_user_rates_an_item_twice(ratings: Ratings, times: int):
    found = whole(ratings, times * len(ratings))
    assert len(found) == pytest.approx(times * len(ratings), rel=0.1)
    assert len(set(zip(found.user.tolist(), found.item.tolist(), strict=True))) == len(found)


def test_each_rating_is_a_copy_of_a_real_one_in_its_block(ratings: Ratings):
    found = whole(ratings, 10 * len(ratings))
    users, items = int(ratings.user.max()) + 1, int(ratings.item.max()) + 1
    assert rows(found, users, items) <= rows(ratings, users, items)
    assert found.user.max() >= users
    assert found.item.max() >= items


def test_users_and_items_differ_from_block_to_block_as_in_the_small_copy(ratings: Ratings):
    shares = kept_shares(ratings, 6, 7, total=20)
    assert shares.shape == (6, 7)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.sum() <= 20 + 1e-9
    assert shares.std() > 0.05


def test_the_same_seed_gives_the_same_ratings(ratings: Ratings):
    first, second = whole(ratings, 5_000), whole(ratings, 5_000)
    assert np.array_equal(first.user, second.user)
    assert np.array_equal(first.item, second.item)
