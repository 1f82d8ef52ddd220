"""What the gate makes of an evaluation, without TFMA."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from components.evaluation.model_gate import Evaluation, decide, requirements
from components.evaluation.paired_difference import PairedDifference
from components.gate_settings import ModelGateSettings

CANDIDATE = {
    "recall_at_10": 0.2,
    "recall_at_10_popularity": 0.05,
    "recall_at_10_recent_popularity": 0.08,
    "recall_at_10_lift": 2.5,
}
TAIL = {"label_popularity": {"tail": 0.03}}


def evaluation(**changes: object) -> Evaluation:
    return Evaluation(
        **{"candidate": CANDIDATE, "slices": {("label_popularity", "tail"): {"recall_at_10": 0.04}}, **changes}
    )


def said(gate: ModelGateSettings, **changes: object) -> list[tuple[bool, str]]:
    return [(check.met, check.sentence) for check in decide(evaluation(**changes), gate)]


def test_the_lift_is_told_with_the_higher_of_the_two_popularities():
    assert said(ModelGateSettings()) == [
        (True, "recall@10 is 2.50 times that of recent popularity (0.0800), which meets the required 1.5 times")
    ]
    all_time = {**CANDIDATE, "recall_at_10_recent_popularity": 0.04}
    assert said(ModelGateSettings(min_recall_at_10_lift=3), candidate=all_time) == [
        (False, "recall@10 is 2.50 times that of all-time popularity (0.0500), which misses the required 3 times")
    ]


def test_without_a_baseline_nothing_is_asked_of_the_difference():
    assert [check.kind for check in decide(evaluation(), ModelGateSettings())] == ["recall_at_10_lift"]


@pytest.mark.parametrize(
    ("difference", "settings", "met", "ending"),
    [
        (PairedDifference(-0.02, -0.05, 0.01, 610), {}, True, ": beyond the allowed drop of 0.005, but within chance"),
        (
            PairedDifference(-0.02, -0.03, -0.01, 610),
            {},
            False,
            ": beyond the allowed drop of 0.005, and beyond chance",
        ),
        (PairedDifference(-0.003, -0.004, -0.001, 610), {}, True, ": within the allowed drop of 0.005"),
        (
            PairedDifference(0.01, -0.02, 0.04, 610),
            {"non_inferior": True},
            False,
            ": the interval's lower end is not above the allowed drop of 0.005",
        ),
        (
            PairedDifference(0.01, 0.0, 0.02, 610),
            {"non_inferior": True},
            True,
            ": the interval's lower end is above the allowed drop of 0.005",
        ),
    ],
)
def test_the_difference_is_told_with_its_interval_and_the_number_of_queries(difference, settings, met, ending):
    found = said(ModelGateSettings(**settings), difference=difference)[-1]
    assert found[0] == met
    assert found[1].endswith(ending)
    interval = f"on the same 610 queries (95 % interval {difference.low:+.4f} to {difference.high:+.4f})"
    assert f"recall@10 differs by {difference.mean:+.4f} from the last blessed model's {interval}" in found[1]


def test_a_slice_has_to_reach_its_own_floor():
    gate = ModelGateSettings(min_recall_at_10_of_slices=TAIL)
    assert said(gate)[1] == (True, "recall@10 for label popularity tail is 0.0400, which meets the required 0.03")
    poor = {("label_popularity", "tail"): {"recall_at_10": 0.029}}
    assert said(gate, slices=poor)[1] == (
        False,
        "recall@10 for label popularity tail is 0.0290, which misses the required 0.03",
    )


def test_a_floor_of_a_slice_without_a_query_is_not_met():
    found = said(ModelGateSettings(min_recall_at_10_of_slices=TAIL), slices={})[1]
    assert found == (
        False,
        "no query has label popularity tail, so that the required recall@10 of 0.03 there isn't shown",
    )


def test_slices_that_yaml_reads_as_numbers_are_taken_by_name():
    gate = ModelGateSettings.model_validate({"min_recall_at_10_of_slices": {"context_length": {1: 0.1}}})
    assert [requirement.of_slice for requirement in requirements(gate)] == [None, ("context_length", "1"), None]


@pytest.mark.parametrize(
    ("floors", "reason"),
    [
        ({"genre": {"Drama": 0.1}}, "no slices by 'genre': take one of context_length, label_popularity"),
        ({"label_popularity": {"top": 0.1}}, "no slice 'top': take one of head, middle, tail, unseen"),
        ({"context_length": {"long": 0.1}}, "no slice 'long': take a whole number above zero"),
        ({"context_length": {"1": 1.1}}, "less than or equal to 1"),
        ({"context_length": 0.1}, "valid dictionary"),
        (0.1, "valid dictionary"),
    ],
)
def test_a_floor_of_what_is_no_slice_is_refused(floors, reason):
    with pytest.raises(ValidationError, match=reason):
        ModelGateSettings.model_validate({"min_recall_at_10_of_slices": floors})
