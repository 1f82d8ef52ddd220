"""The steps of a run as a drawing: stages in their order, each with its steps, those that did not run among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.naming import AUDIT, EXAMPLE_GEN, PUSHER, STEPS, TRANSFORM
from components.report.report_model import StepFacts

NOT_RUN = "not run"

_STAGES = {EXAMPLE_GEN: "Data", TRANSFORM: "Training", AUDIT: "Judgement", PUSHER: "Publication"}
"""The step that each stage begins with."""


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline with its steps, in the pipeline's order."""

    title: str
    steps: list[StepFacts]


def stages_of(steps: Sequence[StepFacts]) -> list[Stage]:
    """Return the stages of a run.

    Parameters
    ----------
    steps
        Those that ran, or were taken from the cache.

    Returns
    -------
    list of Stage
        With the local pipeline's steps in their order, and what else ran behind the step that it followed; steps that
        did not run say so.
    """
    ran = {step.name: step for step in steps}
    stages: list[Stage] = []
    for name in _in_order(list(ran)):
        if name in _STAGES or not stages:
            stages.append(Stage(_STAGES.get(name, ""), []))
        stages[-1].steps.append(ran.get(name) or StepFacts(name=name, state=NOT_RUN, seconds=0.0))
    return stages


def _in_order(ran: Sequence[str]) -> list[str]:
    """Return the local pipeline's steps and all that ran."""
    order = list(STEPS)
    for name, followed in zip(ran, ["", *ran], strict=False):
        if name not in order:
            order.insert(order.index(followed) + 1 if followed in order else len(order), name)
    return order
