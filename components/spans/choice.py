"""Which model goes on, where a cold training ran beside the warm one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.evaluation.model_gate import compare
from components.evaluation.paired_difference import PairedDifference
from components.gate_settings import ModelGateSettings

CHOICE_FILE = "choice.json"


class Choice(BaseModel):
    """A comparison of both models on data that neither has seen.

    Attributes
    ----------
    warm_recall, cold_recall
        recall@10 of each.
    queries
        How many both answered.
    winner
        The training whose model is judged further.
    sentence
        The rule with what came of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    warm_recall: float
    cold_recall: float
    queries: int
    winner: Literal["warm", "cold"]
    sentence: str


def choose(warm_recall: float, cold_recall: float, difference: PairedDifference, gate: ModelGateSettings) -> Choice:
    """Return the choice by the gate's own rule: warm goes on unless the gate would refuse it against cold.

    So chance alone hardly ever chooses, and what the winner is then judged by, on the same queries, is hardly
    flattered by having been chosen.

    Parameters
    ----------
    warm_recall, cold_recall
        recall@10 of each.
    difference
        The warm model's recall@10 minus the cold one's, on the same queries.
    gate
        What is allowed.
    """
    check = compare(difference, gate, "cold")
    winner: Literal["warm", "cold"] = "warm" if check.met else "cold"
    return Choice(
        warm_recall=warm_recall,
        cold_recall=cold_recall,
        queries=difference.queries,
        winner=winner,
        sentence=f"of the warm model {check.sentence}, so that the {winner} one goes on",
    )
