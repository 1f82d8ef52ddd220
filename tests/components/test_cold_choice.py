"""A cold training's model goes on only where the gate would refuse the warm one against it."""

from __future__ import annotations

import pytest
from tfx import v1 as tfx

from components.artifacts import ColdChoice
from components.evaluation.paired_difference import PairedDifference
from components.gate_settings import ModelGateSettings
from components.history.spans import COLD_WINS, ChosenModel
from components.spans.choice import choose
from pipeline.rolling_settings import RollingPipelineSettings

GATE = ModelGateSettings(max_recall_at_10_drop=0.005)


@pytest.mark.parametrize(
    ("mean", "low", "high", "winner"),
    [
        (0.02, -0.01, 0.05, "warm"),
        (-0.02, -0.05, 0.01, "warm"),
        (-0.004, -0.007, -0.001, "warm"),
        (-0.02, -0.03, -0.01, "cold"),
    ],
)
def test_cold_wins_where_warm_lies_below_it_beyond_the_allowed_drop_and_beyond_chance(mean, low, high, winner):
    choice = choose(0.1, 0.1 - mean, PairedDifference(mean, low, high, queries=812), GATE)
    assert choice.winner == winner
    assert f"recall@10 differs by {mean:+.4f} from the cold model's on the same 812 queries" in choice.sentence
    assert choice.sentence.endswith(f"so that the {winner} one goes on")


def test_a_gate_that_asks_for_proof_asks_it_of_the_warm_model_too():
    gate = ModelGateSettings(max_recall_at_10_drop=0.005, non_inferior=True)
    assert choose(0.1, 0.12, PairedDifference(-0.02, -0.05, 0.01, queries=812), gate).winner == "cold"


def test_a_cold_training_is_due_on_every_so_many_spans_and_never_where_training_is_cold_anyway():
    def due(**settings: object) -> list[int]:
        rolling = RollingPipelineSettings.model_validate(settings)
        return [span for span in range(1, 8) if rolling.is_cold_due(span)]

    assert due() == []
    assert due(cold_every=3) == [3, 6]
    # The first one starts from nothing by itself.
    assert due(cold_every=1) == [2, 3, 4, 5, 6, 7]
    assert due(cold_every=3, start={"warm": False}) == []


@pytest.mark.parametrize("wins", [True, False])
def test_the_winner_is_handed_on_with_what_its_training_wrote_and_the_other_one_is_not(wins):
    def made(artifact_type, uri):
        artifact = artifact_type()
        artifact.uri = uri
        return artifact

    kinds = tfx.types.standard_artifacts
    choice = ColdChoice()
    choice.set_int_custom_property(COLD_WINS, int(wins))
    found = ChosenModel().resolve_artifacts(
        None,
        {
            "choice": [choice],
            "model": [made(kinds.Model, "warm")],
            "model_run": [made(kinds.ModelRun, "warm run")],
            "cold": [made(kinds.Model, "cold")],
            "cold_run": [made(kinds.ModelRun, "cold run")],
        },
    )
    uris = {name: [artifact.uri for artifact in artifacts] for name, artifacts in found.items() if name != "choice"}
    which = "cold" if wins else "warm"
    assert uris == {"model": [which], "model_run": [f"{which} run"], "cold": [], "cold_run": []}
