"""The model gate's requirements as a configuration of TFMA."""

from __future__ import annotations

import json
from collections import defaultdict

from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.evaluation_result import BASELINE, CANDIDATE
from components.evaluation.model_gate import Requirement, requirements
from components.gate_settings import SLICES, ModelGateSettings

METRICS_MODULE = "components.evaluation.retrieval_metrics"

EXTRACTORS_MODULE = "components.evaluation.grouped_extracts"
"""Module of the extractors, which TFX looks up by name."""


def evaluation_config(gate: ModelGateSettings, code_digest: str) -> config_pb2.EvalConfig:
    """Return the Evaluator's configuration.

    Parameters
    ----------
    gate
        The thresholds.
    code_digest
        Digest of the code behind the metrics, for the Evaluator's cache.
    """
    config = {
        "allowed_drop": gate.max_recall_at_10_drop,
        "non_inferior": gate.non_inferior,
        "code_digest": code_digest,
    }
    metric = config_pb2.MetricConfig(class_name="RetrievalMetrics", module=METRICS_MODULE, config=json.dumps(config))
    thresholds: defaultdict[str, config_pb2.PerSliceMetricThresholds] = defaultdict(config_pb2.PerSliceMetricThresholds)
    for requirement in requirements(gate):
        thresholds[requirement.metric].thresholds.append(_threshold(requirement))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(name=CANDIDATE, signature_name="evaluate", model_type="tf_generic"),
            config_pb2.ModelSpec(name=BASELINE, signature_name="evaluate", model_type="tf_generic", is_baseline=True),
        ],
        slicing_specs=[config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=[name]) for name in SLICES)],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[metric], per_slice_thresholds=thresholds)],
    )


def _threshold(requirement: Requirement) -> config_pb2.PerSliceMetricThreshold:
    """Return a requirement's threshold: against the baseline a change threshold, which TFX drops without a baseline."""
    if requirement.against_baseline:
        threshold = config_pb2.MetricThreshold(
            change_threshold=config_pb2.GenericChangeThreshold(
                direction=config_pb2.MetricDirection.HIGHER_IS_BETTER, absolute={"value": requirement.least}
            )
        )
    else:
        threshold = config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": requirement.least})
        )
    of_slice = dict([requirement.of_slice]) if requirement.of_slice is not None else None
    return config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec(feature_values=of_slice)], threshold=threshold
    )
