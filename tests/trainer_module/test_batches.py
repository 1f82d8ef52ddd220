"""What is fitted, what is held out, and in which order."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from trainer_module.dataset import Windows, hold_out, training_batches


def numbered(count: int) -> Windows:
    """Make windows that can be told apart: window n has label n and context (n, n + 1000)."""
    label = np.arange(count, dtype=np.int32)
    return Windows(context=np.stack([label, label + 1000], axis=1), label=label)


def epoch(batches) -> list[list[int]]:
    """Read one epoch's labels, batch by batch, and check that each still stands beside its context."""
    read = []
    for context, label in batches.as_numpy_iterator():
        np.testing.assert_array_equal(context, np.stack([label, label + 1000], axis=1))
        read.append(label.tolist())
    return read


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.05, 5), (0.059, 5), (0.5, 50)])
def test_every_window_is_either_fitted_or_held_out(fraction, expected):
    fitted, held_out = hold_out(numbered(100), fraction, seed=1)
    assert len(held_out) == expected
    assert sorted([*fitted.label, *held_out.label]) == list(range(100))


def test_a_held_out_window_keeps_its_context():
    _, held_out = hold_out(numbered(50), 0.4, seed=1)
    np.testing.assert_array_equal(held_out.context[:, 1], held_out.label + 1000)


def test_the_seed_decides_what_is_held_out():
    first, again, other = (set(hold_out(numbered(100), 0.2, seed)[1].label) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_fresh_draw_of_batches_comes_each_epoch():
    batches = training_batches(numbered(40), 8, seed=5, reshuffle=True)
    first, second = epoch(batches), epoch(batches)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(40))
    assert first != second


def test_windows_that_fill_no_batch_wait_for_another_epoch():
    batches = training_batches(numbered(43), 8, seed=5, reshuffle=True)
    seen = set()
    for _ in range(6):
        read = epoch(batches)
        assert [len(batch) for batch in read] == [8] * 5
        seen |= set(chain(*read))
    assert int(batches.cardinality()) == 5
    assert seen == set(range(43))


def test_fewer_windows_than_a_batch_are_one_short_batch():
    assert [len(batch) for batch in epoch(training_batches(numbered(5), 8, seed=5, reshuffle=True))] == [5]


def test_frozen_batches_are_the_same_each_epoch_and_hold_all_windows():
    batches = training_batches(numbered(43), 8, seed=5, reshuffle=False)
    first = epoch(batches)
    assert first == epoch(batches)
    assert sorted(chain(*first)) == list(range(43))
    assert first != [list(range(start, min(start + 8, 43))) for start in range(0, 43, 8)]


@pytest.mark.parametrize("reshuffle", [True, False])
def test_the_seed_decides_the_batches(reshuffle):
    first, again, other = (
        epoch(training_batches(numbered(40), 8, seed=seed, reshuffle=reshuffle)) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other
