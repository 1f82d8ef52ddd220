"""What the model gate asks, in TFMA's own words."""

from __future__ import annotations

import json

import tensorflow_model_analysis as tfma

from components.gate_settings import ModelGateSettings
from components.judgement import BASELINE, CANDIDATE
from components.retrieval_metrics import LIFT, RECALL
from data import features

METRICS_MODULE = "components.retrieval_metrics"

EXTRACTORS_MODULE = "components.grouped_extracts"
"""What TFMA is fed by; see there."""

SLICES = (features.CONTEXT_LENGTH, features.LABEL_POPULARITY)
"""Features whose values cut the eval split. They come with the examples, the same for candidate and baseline."""


def evaluation_config(gate: ModelGateSettings, source_digest: str) -> tfma.EvalConfig:
    """Return the Evaluator's configuration.

    Parameters
    ----------
    gate
        The thresholds.
    source_digest
        Digest of the code behind the metrics, for the Evaluator's cache.
    """
    metric = tfma.MetricConfig(
        class_name="RetrievalMetrics", module=METRICS_MODULE, config=json.dumps({"source_digest": source_digest})
    )
    thresholds = {
        LIFT: _on_all_examples(
            value_threshold=tfma.GenericValueThreshold(lower_bound={"value": gate.min_recall_at_10_lift})
        ),
        RECALL: _on_all_examples(
            change_threshold=tfma.GenericChangeThreshold(
                direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -gate.max_recall_at_10_drop}
            )
        ),
    }
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(name=CANDIDATE, signature_name="evaluate", model_type="tf_generic"),
            tfma.ModelSpec(name=BASELINE, signature_name="evaluate", model_type="tf_generic", is_baseline=True),
        ],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[name]) for name in SLICES)],
        metrics_specs=[tfma.MetricsSpec(metrics=[metric], per_slice_thresholds=thresholds)],
    )


def _on_all_examples(**threshold: object) -> tfma.PerSliceMetricThresholds:
    """Ask of the eval split as a whole, not of each slice of it."""
    return tfma.PerSliceMetricThresholds(
        thresholds=[
            tfma.PerSliceMetricThreshold(
                slicing_specs=[tfma.SlicingSpec()], threshold=tfma.MetricThreshold(**threshold)
            )
        ]
    )
