"""The graph of a day: with a cold training beside the warm one where one is due."""

from __future__ import annotations

import pytest

from pipeline.pipeline import create_pipeline
from pipeline.rolling.backend import SpanBackend
from pipeline.settings import RunPaths, load_settings, with_values

PLACES = RunPaths("/data", "/data/schema.pbtxt", "/artifacts", "/serving", "/artifacts/metadata.sqlite", "digest")


def nodes_of(span: int, cold_every: int):
    settings = with_values(load_settings("rolling"), {"rolling": {"cold_every": cold_every}})
    graph = create_pipeline(settings, PLACES, SpanBackend(span, settings.rolling))
    return {node.id: node for node in graph.components}


def before(node) -> set[str]:
    return {other.id for other in node.upstream_nodes}


@pytest.mark.parametrize(("span", "cold_every"), [(3, 0), (3, 2)])
def test_on_other_days_one_model_is_trained_and_judged(span: int, cold_every: int):
    nodes = nodes_of(span, cold_every)
    assert "ColdTrainer" not in nodes
    assert nodes["Evaluator"].inputs["model"].producer_component_id == "Trainer"


def test_where_a_cold_training_is_due_all_that_follows_sees_the_one_model_that_won():
    nodes = nodes_of(4, 2)
    assert "ChosenModel" in before(nodes["HeldOut"])
    for step in ("Audit", "Evaluator", "ServableCheck", "Pusher", "RunReport"):
        assert nodes[step].inputs["model"].producer_component_id == "ChosenModel", step
    assert nodes["RunReport"].inputs["model_run"].producer_component_id == "ChosenModel"


def test_a_cold_training_learns_from_the_same_spans_and_from_no_model():
    nodes = nodes_of(4, 2)
    warm, cold = nodes["Trainer"], nodes["ColdTrainer"]
    assert {name for name in warm.inputs if name not in cold.inputs} == {"base_model"}
    assert cold.inputs["examples"].producer_component_id == warm.inputs["examples"].producer_component_id == "SpanRange"


def test_both_models_are_compared_on_what_neither_has_seen():
    nodes = nodes_of(4, 2)
    assert nodes["ColdComparison"].inputs["examples"].producer_component_id == "ColdHeldOut"
    assert before(nodes["ColdHeldOut"]) == {"ExampleGen", "Trainer", "ColdTrainer"}


def test_the_step_keys_of_a_day_do_not_change_with_when_a_cold_training_is_due():
    due, other = nodes_of(4, 2), nodes_of(4, 0)
    assert due["Trainer"].exec_properties == other["Trainer"].exec_properties
    assert due["PrequentialEvaluation"].exec_properties == other["PrequentialEvaluation"].exec_properties
