"""What the Evaluator is asked, and how a decision is said in words."""

from __future__ import annotations

import json

import pytest
from tensorflow_model_analysis.proto import config_pb2

from components.gate_settings import ModelGateSettings
from pipeline.eval_config import BASELINE, CANDIDATE, evaluation_config

pytestmark = pytest.mark.slow


def thresholds(
    config: config_pb2.EvalConfig,
) -> dict[tuple[str, tuple[tuple[str, str], ...]], config_pb2.MetricThreshold]:
    """Return the thresholds by metric and slice."""
    (spec,) = config.metrics_specs
    found = {}
    for name, of_slices in spec.per_slice_thresholds.items():
        for on in of_slices.thresholds:
            (slicing,) = on.slicing_specs
            assert not slicing.feature_keys, "a slice that is not named must not decide"
            found[name, tuple(slicing.feature_values.items())] = on.threshold
    return found


def test_the_thresholds_are_the_settings():
    floors = {"label_popularity": {"tail": 0.03}, "context_length": {"1": 0.02}}
    gate = ModelGateSettings(min_recall_at_10_lift=2.5, min_recall_at_10_of_slices=floors)
    found = thresholds(evaluation_config(gate, ""))
    assert {key: threshold.value_threshold.lower_bound.value for key, threshold in found.items() if key[1]} == {
        ("recall_at_10", (("label_popularity", "tail"),)): 0.03,
        ("recall_at_10", (("context_length", "1"),)): 0.02,
    }
    assert found["recall_at_10_lift", ()].value_threshold.lower_bound.value == 2.5
    change = found["recall_at_10_margin", ()].change_threshold
    assert change.absolute.value == 0
    assert change.direction == config_pb2.MetricDirection.HIGHER_IS_BETTER
    assert len(found) == 4


def test_the_rule_about_the_difference_is_the_metrics_own():
    (spec,) = evaluation_config(ModelGateSettings(max_recall_at_10_drop=0.02, non_inferior=True), "").metrics_specs
    config = json.loads(spec.metrics[0].config)
    assert (config["allowed_drop"], config["non_inferior"]) == (0.02, True)


def test_candidate_and_baseline_are_asked_through_the_same_signature():
    specs = evaluation_config(ModelGateSettings(), "").model_specs
    assert [(spec.name, spec.is_baseline) for spec in specs] == [(CANDIDATE, False), (BASELINE, True)]
    assert {spec.signature_name for spec in specs} == {"evaluate"}


def test_slices_come_from_features_of_the_examples():
    slices = [list(spec.feature_keys) for spec in evaluation_config(ModelGateSettings(), "").slicing_specs]
    assert slices == [[], ["context_length"], ["label_popularity"]]


def test_the_code_behind_the_metrics_is_part_of_the_evaluators_cache_key():
    one, other = (evaluation_config(ModelGateSettings(), digest).SerializeToString() for digest in ("a", "b"))
    assert one != other
