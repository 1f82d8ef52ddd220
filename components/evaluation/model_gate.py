"""The model gate's rules: its requirements, and its decision about an evaluation.

The Evaluator's thresholds are made from `requirements`, and sentences and rows of the report from `decide`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from components.evaluation.metric_names import LIFT, MARGIN, POPULARITY, RECALL, RECENT_POPULARITY
from components.evaluation.paired_difference import PairedDifference
from components.finding import Finding
from components.gate_settings import ModelGateSettings
from components.naming import LAST_BLESSED, SERVED

Metrics = Mapping[str, float]

Slice = tuple[str, str]
"""A feature and one of its values."""

NO_BASELINE = {LAST_BLESSED: "no model of this pipeline was blessed before", SERVED: "no model is served yet"}
"""Why there is none to compare with, by which would be."""


@dataclass(frozen=True)
class Requirement:
    """A metric that has to reach some number.

    Attributes
    ----------
    metric
        The metric's name.
    least
        The least number that is accepted.
    of_slice
        The slice that it is asked of; None for the whole eval split.
    against_baseline
        Whether it compares with the baseline: without one there is no such requirement.
    """

    metric: str
    least: float
    of_slice: Slice | None = None
    against_baseline: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What the Evaluator measured.

    Attributes
    ----------
    candidate
        Metrics of the whole eval split by name.
    slices
        The candidate's metrics by slice.
    baseline
        The metrics of the model that it is compared with; None where there is none.
    difference
        Of both models' recall@10 on the same queries; None without a baseline.
    """

    candidate: Metrics
    slices: Mapping[Slice, Metrics]
    baseline: Metrics | None = None
    difference: PairedDifference | None = None


_NO_WORSE = Requirement(MARGIN, 0.0, against_baseline=True)


def requirements(gate: ModelGateSettings) -> list[Requirement]:
    """Return all requirements."""
    return [
        Requirement(LIFT, gate.min_recall_at_10_lift),
        *(
            Requirement(RECALL, floor, of_slice=(feature, value))
            for feature, floors in gate.min_recall_at_10_of_slices.items()
            for value, floor in floors.items()
        ),
        _NO_WORSE,
    ]


def decide(evaluation: Evaluation, gate: ModelGateSettings, compared_with: str = LAST_BLESSED) -> list[Finding]:
    """Return what came of each requirement; the model is blessed if all are met.

    Parameters
    ----------
    evaluation, gate
        What was measured, and what is asked.
    compared_with
        Which model the baseline is, in words.
    """
    checks: list[Finding] = []
    for requirement in requirements(gate):
        if requirement.against_baseline:
            if evaluation.difference is not None:
                checks.append(compare(evaluation.difference, gate, compared_with))
        elif requirement.of_slice is not None:
            checks.append(_check_slice(evaluation.slices, requirement))
        else:
            checks.append(_check_lift(evaluation.candidate, requirement))
    return checks


def _check_lift(candidate: Metrics, requirement: Requirement) -> Finding:
    lift = candidate[LIFT]
    met = lift >= requirement.least
    floors = {
        "all-time": candidate[f"{RECALL}{POPULARITY}"],
        "recent": candidate.get(f"{RECALL}{RECENT_POPULARITY}", math.nan),
    }
    which = "recent" if floors["recent"] > floors["all-time"] else "all-time"
    sentence = (
        f"recall@10 is {lift:.2f} times that of {which} popularity ({floors[which]:.4f}), which "
        f"{'meets' if met else 'misses'} the required {requirement.least:g} times"
    )
    return _finding(requirement, lift, met, sentence)


def _check_slice(slices: Mapping[Slice, Metrics], requirement: Requirement) -> Finding:
    assert requirement.of_slice is not None  # noqa: S101 - asked of slices alone
    name = " ".join(requirement.of_slice).replace("_", " ")
    metrics = slices.get(requirement.of_slice)
    if metrics is None:
        sentence = f"no query has {name}, so that the required recall@10 of {requirement.least:g} there isn't shown"
        return _finding(requirement, None, met=False, what=sentence)
    met = metrics[RECALL] >= requirement.least
    sentence = (
        f"recall@10 for {name} is {metrics[RECALL]:.4f}, which {'meets' if met else 'misses'} the required "
        f"{requirement.least:g}"
    )
    return _finding(requirement, metrics[RECALL], met, sentence)


def compare(difference: PairedDifference, gate: ModelGateSettings, other: str) -> Finding:
    """Return how a model compares with another one.

    Parameters
    ----------
    difference
        Its recall@10 minus the other's on the same queries.
    gate
        What is allowed.
    other
        Which the other model is, in words.
    """
    drop = gate.max_recall_at_10_drop
    margin = difference.margin(drop, non_inferior=gate.non_inferior)
    met = margin >= _NO_WORSE.least
    measured = (
        f"recall@10 differs by {difference.mean:+.4f} from the {other} model's on the same "
        f"{difference.queries:,} queries (95 % interval {difference.low:+.4f} to {difference.high:+.4f})"
    )
    if gate.non_inferior:
        verdict = f"the interval's lower end is {'above' if met else 'not above'} the allowed drop of {drop:g}"
    elif difference.mean >= -drop:
        verdict = f"within the allowed drop of {drop:g}"
    else:
        verdict = f"beyond the allowed drop of {drop:g}, {'but within chance' if met else 'and beyond chance'}"
    return _finding(_NO_WORSE, margin, met, f"{measured}: {verdict}")


def _finding(requirement: Requirement, measured: float | None, met: bool, what: str) -> Finding:
    return Finding(
        kind=requirement.metric,
        what=what,
        where=requirement.of_slice,
        measured=measured,
        allowed=requirement.least,
        met=met,
    )
