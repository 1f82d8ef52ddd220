"""Which examples are held out, and that nothing leaks from them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from data_helpers import read_examples, write_csv_release
from hypothesis import given
from hypothesis import strategies as st
from plain_reference import PlainRating

from data.errors import InputError
from data.examples.shards import shard_indices
from data.generate import generate
from data.options import GenerateOptions
from data.splits import SPLIT_NAMES, STRATEGIES
from data.splits.ranks import find_cut, locate_cut, order_keys, rank_histogram, ranks_in_bin
from data.timelines.hashing import keyed_hash, mix64
from data.timelines.value_tally import ValueTally


def test_the_hash_is_the_published_splitmix64():
    # The first outputs of the generator with seed 0, as the reference implementation in C prints them.
    gamma = 0x9E3779B97F4A7C15
    states = np.array([0, gamma, 2 * gamma % 2**64], dtype=np.uint64)
    assert mix64(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(st.integers(0, 2**63 - 1))
def test_the_keyed_hash_never_collides_and_depends_on_its_key(key: int):
    values = np.arange(2000, dtype=np.uint64)
    hashed = keyed_hash(values, key)
    assert len(np.unique(hashed)) == len(values)
    assert not np.array_equal(hashed, keyed_hash(values, key + 1))


@given(
    ranks=st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1 << 48, 2**64 - 1]), max_size=200),
    fraction=st.floats(0.01, 0.99),
    num_blocks=st.integers(1, 5),
)
def test_the_cut_found_in_blocks_is_the_exact_one(ranks: list[int], fraction: float, num_blocks: int):
    blocks = [np.array(ranks[block::num_blocks], dtype=np.uint64) for block in range(num_blocks)]
    cut_bin = locate_cut(sum(rank_histogram(block) for block in blocks), fraction)
    in_bin = ValueTally.of(np.empty(0, dtype=np.uint64))
    for block in blocks:
        in_bin = in_bin.merge(ranks_in_bin(block, cut_bin))
    cut = find_cut(in_bin, cut_bin)

    num_train = round(len(ranks) * fraction)
    assert cut == (sorted(ranks)[num_train - 1] if num_train else None)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(1, 10_000))
def test_shards_divide_the_order_without_changing_it(orders: list[int], count: int):
    indices = shard_indices(np.array(sorted(orders), dtype=np.uint64), count)
    assert np.all(np.diff(indices) >= 0)
    assert indices.min() >= 0
    assert indices.max() < count


def test_the_order_is_unrelated_to_users_to_the_split_and_to_that_of_another_seed():
    users, positions = np.divmod(np.arange(4_000, dtype=np.uint64), np.uint64(20))
    keys = (users << np.uint64(32)) | positions
    order = order_keys(keys, 7)
    assert len(np.unique(order)) == len(keys)
    for other in (keys, keyed_hash(keys, 7), order_keys(keys, 8)):
        # Of unrelated orders of 4,000 the correlation is 0, give or take 0.016.
        assert abs(np.corrcoef(np.argsort(np.argsort(order)), np.argsort(np.argsort(other)))[0, 1]) < 0.08


class Place(NamedTuple):
    """Whose rating it is, and which of theirs, from 0."""

    user: int
    position: int


NUM_RATINGS = {user: 8 + user % 5 for user in range(1, 41)}
"""By user, of `telling_release`."""


@pytest.fixture
def telling_release(tmp_path: Path) -> Path:
    """Write a release in which nobody rates another's movie, and nobody one twice: a movie tells which rating it is."""
    ratings = [
        PlainRating(user, _movie(Place(user, position)), 4.0, _time(Place(user, position)))
        for user, number in NUM_RATINGS.items()
        for position in range(number)
    ]
    return write_csv_release(tmp_path / "telling-release", ratings, {})


def _movie(place: Place) -> int:
    return 100 * place.user + place.position


def _time(place: Place) -> int:
    """Users begin one after the other and overlap; some rate at one time."""
    return 10**9 + 5 * place.position + place.user // 2


class Example(NamedTuple):
    """The ratings of an example."""

    context: tuple[Place, ...]
    label: Place


def _examples(folder: Path, split: str) -> list[Example]:
    """Read the examples of a `telling_release` in the order of the shards."""
    return [
        Example(
            tuple(Place(*divmod(movie, 100)) for movie in example["context_movie_id"][: example["context_length"][0]]),
            Place(*divmod(example["label_movie_id"][0], 100)),
        )
        for example in read_examples(folder, split)
    ]


def _labels(folder: Path, split: str) -> list[Place]:
    return [example.label for example in _examples(folder, split)]


def test_train_is_the_rounded_fraction_of_all_examples(small_release: Path, tmp_path: Path):
    for fraction in (0.5, 0.77, 0.9):
        options = GenerateOptions(release="ml-latest-small", train_fraction=fraction)
        counts = generate(options, tmp_path / str(fraction), source=small_release).counts
        assert counts.train == round((counts.train + counts.eval) * fraction)


def test_another_seed_gives_another_split(telling_release: Path, tmp_path: Path):
    held_out = []
    for seed in (1, 2):
        generate(GenerateOptions(release="ml-latest-small", seed=seed), tmp_path / str(seed), source=telling_release)
        held_out.append(set(_labels(tmp_path / str(seed), "eval")))
    assert len(held_out[0] & held_out[1]) < 0.5 * len(held_out[0])


@pytest.mark.parametrize("split", ["leave_one_out", "temporal"])
def test_another_seed_gives_the_same_examples_in_another_order_where_the_split_is_not_by_chance(
    split: str, telling_release: Path, tmp_path: Path
):
    train = []
    for seed in (1, 2):
        options = GenerateOptions(release="ml-latest-small", split=split, seed=seed)
        generate(options, tmp_path / str(seed), source=telling_release)
        train.append(_labels(tmp_path / str(seed), "train"))
    assert sorted(train[0]) == sorted(train[1])
    unmoved = sum(one == other for one, other in zip(*train, strict=True))
    assert unmoved < 0.1 * len(train[0])


def test_leave_one_out_holds_out_the_last_window_of_each_user_and_trains_on_no_held_out_rating(
    tmp_path: Path, telling_release: Path
):
    generate(
        GenerateOptions(release="ml-latest-small", split="leave-one-out"), tmp_path / "out", source=telling_release
    )

    last = {Place(user, number - 1) for user, number in NUM_RATINGS.items()}
    assert sorted(_labels(tmp_path / "out", "eval")) == sorted(last)
    train = _examples(tmp_path / "out", "train")
    assert len(train) == sum(number - 2 for number in NUM_RATINGS.values())
    assert not last & {place for example in train for place in (*example.context, example.label)}


def test_temporal_trains_on_nothing_later_than_any_held_out_label(tmp_path: Path, telling_release: Path):
    generate(
        GenerateOptions(release="ml-latest-small", split="temporal", train_fraction=0.7),
        tmp_path / "out",
        source=telling_release,
    )

    train, held_out = (_examples(tmp_path / "out", split) for split in ("train", "eval"))
    assert len(train) + len(held_out) == sum(number - 1 for number in NUM_RATINGS.values())
    last_of_train = max(_time(place) for example in train for place in (*example.context, example.label))
    assert last_of_train < min(_time(example.label) for example in held_out)


# No movie of this release is rated by two users, so that splits of known movies hold nothing out.
@pytest.mark.parametrize("split", [name for name in SPLIT_NAMES if not STRATEGIES[name].known_only])
def test_a_batch_of_neighbouring_examples_is_not_one_users(split: str, tmp_path: Path, telling_release: Path):
    generate(GenerateOptions(release="ml-latest-small", split=split), tmp_path / "out", source=telling_release)
    train = _labels(tmp_path / "out", "train")
    changes = sum(first.user != second.user for first, second in pairwise(train))
    assert changes > 0.9 * len(train)


@pytest.mark.parametrize("split", [name for name in SPLIT_NAMES if STRATEGIES[name].known_only])
def test_a_split_of_known_movies_says_so_where_none_is_known(split: str, tmp_path: Path, telling_release: Path):
    with pytest.raises(InputError, match="of users or movies that train never shows"):
        generate(GenerateOptions(release="ml-latest-small", split=split), tmp_path / "out", source=telling_release)
