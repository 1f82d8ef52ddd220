"""The paired difference of two hit rates: by hand, against resampling, and the rule that the gate applies to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation.paired_difference import PairedDifference, paired_difference


def test_a_small_case_by_hand():
    # Ten queries: three that the baseline alone hits, one that the candidate alone hits.
    found = paired_difference(queries=10, total=-2, squares=4)
    assert found.mean == -0.2
    # One half in each of four cells: 12 queries, 3.5 lost and 1.5 gained.
    center = (1.5 - 3.5) / 12
    half = 1.959964 * math.sqrt((1.5 + 3.5) - (1.5 - 3.5) ** 2 / 12) / 12
    assert (found.low, found.high) == pytest.approx((center - half, center + half))


def test_the_interval_is_about_that_of_resampling_the_queries():
    rng = np.random.default_rng(0)
    gained = rng.choice([-1, 0, 1], p=[0.06, 0.9, 0.04], size=2_000)
    found = paired_difference(len(gained), int(gained.sum()), int(np.abs(gained).sum()))
    means = rng.choice(gained, size=(4_000, len(gained))).mean(axis=1)
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.0015)


def test_two_equal_models_hit_the_true_difference_of_zero_in_95_of_100_evaluations():
    rng = np.random.default_rng(1)
    gained = rng.choice([-1, 0, 1], p=[0.05, 0.9, 0.05], size=(4_000, 610))
    intervals = [paired_difference(610, int(row.sum()), int(np.abs(row).sum())) for row in gained]
    assert np.mean([found.low <= 0 <= found.high for found in intervals]) == pytest.approx(0.95, abs=0.012)


def test_models_that_agree_on_every_query_are_still_not_known_to_be_equal():
    found = paired_difference(queries=50, total=0, squares=0)
    assert found.mean == 0
    assert found.low < 0 < found.high


def test_when_there_is_no_query_nothing_is_known_and_no_rule_is_met():
    found = paired_difference(0, 0, 0)
    assert math.isnan(found.mean)
    assert not found.margin(0.005, non_inferior=False) >= 0
    assert not found.margin(0.005, non_inferior=True) >= 0


@pytest.mark.parametrize(
    ("mean", "low", "high", "refused", "refused_if_non_inferior"),
    [
        (-0.020, -0.050, 0.010, False, True),  # worse, but within chance
        (-0.020, -0.030, -0.010, True, True),  # worse beyond the drop and beyond chance
        (-0.003, -0.004, -0.001, False, False),  # surely worse, by less than is allowed
        (-0.003, -0.009, 0.003, False, True),  # could be worse than is allowed
        (0.010, 0.002, 0.018, False, False),  # better
        (0.010, -0.020, 0.040, False, True),  # better, but not shown
    ],
)
def test_the_rule_of_the_gate(mean, low, high, refused, refused_if_non_inferior):
    found = PairedDifference(mean, low, high, queries=610)
    assert (found.margin(0.005, non_inferior=False) < 0) == refused
    assert (found.margin(0.005, non_inferior=True) < 0) == refused_if_non_inferior


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=300))
def test_the_interval_mirrors_when_the_models_change_places(gained):
    one = paired_difference(len(gained), sum(gained), sum(map(abs, gained)))
    other = paired_difference(len(gained), -sum(gained), sum(map(abs, gained)))
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert -1 <= one.low <= one.high <= 1
