"""Which examples are held out, and that nothing leaks from them."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from data_helpers import read_csv_release, read_examples
from hypothesis import given
from hypothesis import strategies as st
from plain_reference import plain_examples, plain_split

from data.generate import generate
from data.hashing import keyed_hash, mix64
from data.options import GenerateOptions
from data.shards import shard_indices
from data.splits import Counts, find_cut, locate_cut, rank_histogram, ranks_in_bin


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
    in_bin = Counts.of(np.empty(0, dtype=np.uint64))
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


def _pairs_by_label(folder: Path, split: str) -> list[tuple[tuple[int, ...], int]]:
    return [
        (example["context_movie_id"][: example["context_length"][0]], example["label_movie_id"][0])
        for example in read_examples(folder, split)
    ]


def test_train_is_the_rounded_fraction_of_all_examples(small_release: Path, tmp_path: Path):
    for fraction in (0.5, 0.77, 0.9):
        options = GenerateOptions(release="ml-latest-small", train_fraction=fraction)
        counts = generate(options, tmp_path / str(fraction), source=small_release).counts
        assert counts.train == round((counts.train + counts.eval) * fraction)


def test_another_seed_gives_another_split(small_release: Path, tmp_path: Path):
    held_out = []
    for seed in (1, 2):
        generate(GenerateOptions(release="ml-latest-small", seed=seed), tmp_path / str(seed), source=small_release)
        held_out.append(sorted(_pairs_by_label(tmp_path / str(seed), "eval")))
    assert held_out[0] != held_out[1]


def test_leave_one_out_holds_out_the_last_window_of_each_user_and_trains_on_no_held_out_rating(
    tmp_path: Path, small_release: Path
):
    generate(GenerateOptions(release="ml-latest-small", split="leave-one-out"), tmp_path / "out", source=small_release)

    train, held_out = plain_split(plain_examples(*read_csv_release(small_release)), "leave_one_out")
    assert len({example.user for example in held_out}) == len(held_out)
    last_position = {example.user: example.position for example in held_out}
    # A context holds positions before its label's: none can be the held-out one.
    assert all(example.position < last_position[example.user] for example in train)
    assert sorted(_pairs_by_label(tmp_path / "out", "eval")) == sorted(
        (example.context_movie_id[: example.context_length], example.label_movie_id) for example in held_out
    )


def test_temporal_trains_on_nothing_later_than_any_held_out_label(tmp_path: Path, small_release: Path):
    generate(
        GenerateOptions(release="ml-latest-small", split="temporal", train_fraction=0.7),
        tmp_path / "out",
        source=small_release,
    )

    examples = plain_examples(*read_csv_release(small_release))
    times = defaultdict(set)
    for example in examples:
        times[example.context_movie_id[: example.context_length], example.label_movie_id].add(example.label_time)
    train = [times[pair] for pair in _pairs_by_label(tmp_path / "out", "train")]
    held_out = [times[pair] for pair in _pairs_by_label(tmp_path / "out", "eval")]
    assert len(train) + len(held_out) == len(examples)
    assert max(min(seen) for seen in train) < min(max(seen) for seen in held_out)


@pytest.mark.parametrize("split", ["random", "leave_one_out", "temporal"])
def test_a_batch_of_neighbouring_examples_is_not_one_users(split: str, tmp_path: Path, small_release: Path):
    examples = plain_examples(*read_csv_release(small_release))
    train, _ = plain_split(examples, split)
    generate(GenerateOptions(release="ml-latest-small", split=split), tmp_path / "out", source=small_release)
    # The plain order, which other tests find in the shards, changes users nearly always.
    changes = sum(first.user != second.user for first, second in pairwise(train))
    assert changes > 0.9 * len(train)
