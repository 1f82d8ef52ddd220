"""Findings: one form, in which those that earlier versions wrote are read."""

from __future__ import annotations

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from components.finding import Finding

EARLIER = {
    "servable check": ("a pad is recommended", Finding(kind="servable", what="a pad is recommended")),
    "audit": (
        {"name": "max_tied_share", "sentence": "7% are tied: bring times"},
        Finding(kind="max_tied_share", what="7% are tied: bring times"),
    ),
    "model gate": (
        {"sentence": "recall@10 is 2.00 times that of popularity", "met": True},
        Finding(kind="model_gate", what="recall@10 is 2.00 times that of popularity", met=True),
    ),
    "data gate": (
        {"kind": "drift", "split": "train", "feature": "label_movie_id", "reason": "0.4 > 0.02"},
        Finding(kind="drift", what="0.4 > 0.02", where=("train", "label_movie_id")),
    ),
}


@pytest.mark.parametrize(("written", "expected"), EARLIER.values(), ids=EARLIER)
def test_what_an_earlier_version_wrote_is_read(written: object, expected: Finding):
    assert TypeAdapter(list[Finding]).validate_python([written]) == [expected]


def test_a_finding_is_read_as_it_was_written():
    whole = Finding(kind="k", what="w", where=("train", "f"), measured=0.4, allowed=0.02, remedy="r", met=True)
    assert Finding.model_validate_json(whole.model_dump_json()) == whole


def test_what_to_do_ends_the_sentence_where_it_is_known():
    assert Finding(kind="k", what="too many", remedy="take fewer").sentence == "too many: take fewer"
    assert Finding(kind="k", what="too many").sentence == "too many"


def test_a_figure_that_is_no_number_is_unknown():
    assert Finding(kind="k", what="w", measured=math.nan).measured is None


@pytest.mark.parametrize("wrong", [{"kind": "k"}, {"kind": "k", "what": "w", "why": "y"}, 3])
def test_what_is_no_finding_is_refused(wrong: object):
    with pytest.raises(ValidationError):
        Finding.model_validate(wrong)
