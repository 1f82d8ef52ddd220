"""What the Evaluator is asked, and how a decision is said in words."""

from __future__ import annotations

import pytest
import tensorflow_model_analysis as tfma

from components.gate_settings import ModelGateSettings
from pipeline.judging import BASELINE, CANDIDATE, evaluation_config
from pipeline.run_summary import print_table

pytestmark = pytest.mark.slow


def thresholds(config: tfma.EvalConfig) -> dict[str, tfma.MetricThreshold]:
    (spec,) = config.metrics_specs
    found = {}
    for name, of_slices in spec.per_slice_thresholds.items():
        (on,) = of_slices.thresholds
        assert list(on.slicing_specs) == [tfma.SlicingSpec()], "a slice alone must not decide"
        found[name] = on.threshold
    return found


def test_the_thresholds_are_the_settings():
    found = thresholds(evaluation_config(ModelGateSettings(min_recall_at_10_lift=2.5, max_recall_at_10_drop=0.02), ""))
    assert set(found) == {"recall_at_10_lift", "recall_at_10"}
    assert found["recall_at_10_lift"].value_threshold.lower_bound.value == 2.5
    change = found["recall_at_10"].change_threshold
    assert change.absolute.value == pytest.approx(-0.02)
    assert change.direction == tfma.MetricDirection.HIGHER_IS_BETTER


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


def test_a_table_stands_in_columns(capsys):
    print_table(["step", "state", "seconds"], [["Trainer", "done", "12.3"], ["Pusher", "", "0.1"], ["x", "cached", ""]])
    assert capsys.readouterr().out.splitlines() == [
        "  step      state  seconds",
        "  Trainer    done     12.3",
        "  Pusher               0.1",
        "  x        cached",
    ]
