"""Names that components, the graph and those who read its runs agree on."""

from __future__ import annotations

from typing import NamedTuple

NAMESPACE = "next_movie"
"""Comes before the names of our artifact types: Kubeflow's compiler refuses names without a namespace."""

ARTIFACTS_MODULE = "components.artifacts"
"""Module of the classes of our artifact types."""

SHOWN_TYPES = {"HtmlPage": "system.HTML", "MarkdownPage": "system.Markdown", "ScalarMetrics": "system.Metrics"}
"""Kubeflow's names, by class, of the artifact types that its pages show."""

ABSENT = "absent"
"""Custom property of an artifact that stands for "there is none yet".

A Kubeflow task has to fill each of its outputs; the container's entrypoint leaves such an artifact out of the inputs
of the tasks that follow.
"""

SPAN_PROPERTY = "span"
"""TFX's property of Examples of a span."""

SPANS_PROPERTY = "spans"
"""Custom property of an artifact that stands for several: a JSON list of numbers, each of a folder `span-N` in it.

A Kubeflow task puts out one artifact; the container's entrypoint hands on several to the tasks that follow.
"""

SAVED_MODEL = "Format-Serving"
"""Folder of the SavedModel in a Model artifact, as TFX names it."""

DATA_GENERATOR = "DataGenerator"
EXAMPLE_GEN = "ExampleGen"
STATISTICS_GEN = "StatisticsGen"
EXAMPLE_VALIDATOR = "ExampleValidator"
PREVIOUS_STATISTICS = "PreviousStatistics"
DATA_GATE = "DataGate"
TRANSFORM = "Transform"
TRAINER = "Trainer"
AUDIT = "Audit"
BASELINE_NODE = "LatestBlessedModel"
EVALUATOR = "Evaluator"
SERVABLE_CHECK = "ServableCheck"
PUSHER = "Pusher"
BATCH_RECOMMENDER = "BatchRecommender"
RUN_REPORT = "RunReport"
"""Ids of the steps, which users name too. `BASELINE_NODE` looks for the model to compare with."""

NEXT_SPAN = "NextSpan"
PREVIOUS_SPANS = "PreviousSpans"
SPAN_GATE = "SpanGate"
PREQUENTIAL = "PrequentialEvaluation"
ACCEPTED_SPANS = "AcceptedSpans"
SPAN_RANGE = "SpanRange"
RANGE_STATISTICS = "RangeStatistics"
HELD_OUT = "HeldOut"
COLD_TRAINER = "ColdTrainer"
COLD_HELD_OUT = "ColdHeldOut"
COLD_COMPARISON = "ColdComparison"
CHOSEN_MODEL = "ChosenModel"
"""Ids of the further steps of a pipeline that learns from spans."""

REVISION_TYPE = f"{NAMESPACE}.SpanRevision"
"""ML Metadata's type of executions that read a span again of which a user was forgotten.

They are of no step: the examples that one makes take the place of those that it reads.
"""

STEPS = (
    EXAMPLE_GEN,
    "SchemaImporter",
    BASELINE_NODE,
    STATISTICS_GEN,
    EXAMPLE_VALIDATOR,
    PREVIOUS_STATISTICS,
    DATA_GATE,
    TRANSFORM,
    TRAINER,
    AUDIT,
    EVALUATOR,
    SERVABLE_CHECK,
    PUSHER,
    RUN_REPORT,
)
"""All steps of a local run, in their order, but for those that a setting adds."""


LAST_BLESSED = "last blessed"
SERVED = "served"
"""Which model a candidate is held against: the last blessed one of the same data; with spans, what is served."""


class Output(NamedTuple):
    """An output of a step, as the record of a run knows it.

    Attributes
    ----------
    step
        The step's id.
    name
        The output's name.
    """

    step: str
    name: str


EXAMPLES = Output(EXAMPLE_GEN, "examples")
STATISTICS = Output(STATISTICS_GEN, "statistics")
UNPADDED_STATISTICS = Output(STATISTICS_GEN, "unpadded")
ANOMALIES = Output(EXAMPLE_VALIDATOR, "anomalies")
PREVIOUS = Output(PREVIOUS_STATISTICS, "previous")
VERDICT = Output(DATA_GATE, "verdict")
TRANSFORM_GRAPH = Output(TRANSFORM, "transform_graph")
MODEL = Output(TRAINER, "model")
MODEL_RUN = Output(TRAINER, "model_run")
AUDIT_RECORD = Output(AUDIT, "record")
BASELINE = Output(BASELINE_NODE, "model")
PASSED_OVER = Output(BASELINE_NODE, "passed_over")
"""The last blessed model, where it can't be compared with."""
PREQUENTIAL_FIGURES = Output(PREQUENTIAL, "figures")
CHOICE = Output(COLD_COMPARISON, "choice")
CHOSEN = {MODEL: Output(CHOSEN_MODEL, MODEL.name), MODEL_RUN: Output(CHOSEN_MODEL, MODEL_RUN.name)}
"""Where a cold training ran beside the warm one, the outputs that stand for the Trainer's."""
EVALUATION = Output(EVALUATOR, "evaluation")
BLESSING = Output(EVALUATOR, "blessing")
SERVABILITY = Output(SERVABLE_CHECK, "blessing")
PUSHED_MODEL = Output(PUSHER, "pushed_model")
BATCH_ANSWERS = Output(BATCH_RECOMMENDER, "answers")
REPORT = Output(RUN_REPORT, "report")
