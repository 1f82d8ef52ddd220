"""What a pipeline does otherwise that learns from spans of data: where its data come from, and what it compares."""

from __future__ import annotations

from dataclasses import dataclass

from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from components.history.served_model import ServedModel
from components.history.spans import (
    AcceptedSpans,
    ChosenModel,
    PreviousRangeStatistics,
    PreviousSpans,
    UnseenExamples,
    rolling_range,
)
from components.ingestion.example_gen import shard_example_gen
from components.naming import (
    ACCEPTED_SPANS,
    BASELINE,
    CHOICE,
    CHOSEN_MODEL,
    COLD_HELD_OUT,
    COLD_TRAINER,
    EXAMPLES,
    HELD_OUT,
    MODEL,
    MODEL_RUN,
    PASSED_OVER,
    PREVIOUS,
    PREVIOUS_SPANS,
    RANGE_STATISTICS,
    SPAN_RANGE,
)
from components.spans.cold_comparison import ColdComparison
from components.spans.prequential import PrequentialEvaluation
from components.spans.span_gate import SpanGate
from components.statistics.statistics_gen import ShardStatisticsGen
from pipeline.backend import Candidate, Ingestion, Learning, LocalBackend, Train
from pipeline.code_digest import code_digest
from pipeline.rolling_settings import RollingPipelineSettings
from pipeline.settings import RunPaths, Settings

_Examples = tfx.types.standard_artifacts.Examples


@dataclass(frozen=True)
class SpanBackend(LocalBackend):
    """One span of a series that lies ready; earlier results come from ML Metadata.

    Attributes
    ----------
    span
        Number of the span.
    rolling
        What is learned from, and when a span is refused.
    revisions
        Numbers and revisions of the spans of which a user was forgotten.
    """

    span: int
    rolling: RollingPipelineSettings
    revisions: tuple[tuple[int, int], ...] = ()

    def source(self, settings: Settings, paths: RunPaths) -> Ingestion:
        """Return ExampleGen of the span, the importer of the schema, and the gate of spans."""
        examples = shard_example_gen(
            paths.data_root, paths.manifest_digest, code_digest(shard_example_gen), span=self.span
        )
        schema = tfx.components.ImportSchemaGen(schema_file=paths.schema_file).with_id("SchemaImporter")
        before = tfx.dsl.Resolver(
            strategy_class=PreviousSpans,
            config={"num_spans": self.rolling.num_spans},
            examples=examples.outputs[EXAMPLES.name],
            before=tfx.dsl.Channel(type=_Examples),
        ).with_id(PREVIOUS_SPANS)
        gate = SpanGate(
            examples=examples.outputs[EXAMPLES.name],
            before=before.outputs["before"],
            settings=self.rolling.span_gate.model_dump_json(),
            code_digest=code_digest(SpanGate),
        )
        # What is refused isn't counted.
        schema.add_upstream_node(gate)
        return Ingestion((examples, before, gate, schema), examples.outputs[EXAMPLES.name], schema.outputs["schema"])

    def previous_statistics(self, statistics: types.BaseChannel, examples: types.BaseChannel) -> BaseNode:
        """Return a Resolver of the statistics of the last accepted range."""
        return tfx.dsl.Resolver(
            strategy_class=PreviousRangeStatistics,
            examples=examples,
            current=statistics,
            previous=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ExampleStatistics),
        ).with_id(PREVIOUS.step)

    def baseline(self, paths: RunPaths, examples: types.BaseChannel) -> BaseNode:
        """Return a Resolver of the model that is served."""
        return tfx.dsl.Resolver(
            strategy_class=ServedModel,
            config={"serving": paths.serving},
            examples=examples,
            model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
            **{PASSED_OVER.name: tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model)},
        ).with_id(BASELINE.step)

    def learning(
        self, settings: Settings, source: Ingestion, baseline: BaseNode, verdict: types.BaseChannel
    ) -> Learning:
        """Return the range of accepted spans, and the served model, which is measured on the new span before."""
        served = baseline.outputs[BASELINE.name]
        prequential = PrequentialEvaluation(
            examples=source.examples, model=served, code_digest=code_digest(PrequentialEvaluation)
        )
        accepted = tfx.dsl.Resolver(
            strategy_class=AcceptedSpans,
            current=source.examples,
            verdict=verdict,
            examples=tfx.dsl.Channel(type=_Examples),
        ).with_id(ACCEPTED_SPANS)
        in_range = tfx.dsl.Resolver(
            strategy_class=tfx.dsl.experimental.SpanRangeStrategy,
            config={"range_config": rolling_range(self.rolling.num_spans)},
            examples=accepted.outputs["examples"],
        ).with_id(SPAN_RANGE)
        # Both wait for the gate: a refused span is neither learned from nor a figure.
        prequential.add_upstream_node(accepted)
        in_range.add_upstream_node(prequential)
        examples = in_range.outputs["examples"]
        statistics = ShardStatisticsGen(
            examples=examples, schema=source.schema, code_digest=code_digest(ShardStatisticsGen)
        ).with_id(RANGE_STATISTICS)
        return Learning(
            (accepted, prequential, in_range, statistics),
            examples,
            base_model=served,
            custom_config={
                "rolling": self.rolling.start.model_dump(),
                **({"revisions": [list(pair) for pair in self.revisions]} if self.revisions else {}),
            },
        )

    def candidate(self, settings: Settings, examples: types.BaseChannel, trainer: BaseNode, train: Train) -> Candidate:
        """Return the Trainer's model, or on a day when a cold training is due the better of both."""
        warm = super().candidate(settings, examples, trainer, train)
        if not self.rolling.is_cold_due(self.span):
            return warm
        reason = f"a cold training was due beside the warm one (rolling.cold_every = {self.rolling.cold_every})"
        # Without a base model: what that has seen, this one hasn't.
        trainer = train({"rolling": self.rolling.start.model_dump(), "cold": reason}, None).with_id(COLD_TRAINER)
        cold = super().candidate(settings, examples, trainer, train)
        unseen = tfx.dsl.Resolver(
            strategy_class=UnseenExamples, examples=examples, model=warm.model, cold=cold.model
        ).with_id(COLD_HELD_OUT)
        comparison = ColdComparison(
            examples=unseen.outputs["examples"],
            warm=warm.model,
            cold=cold.model,
            settings=settings.model_gate.model_dump_json(),
            code_digest=code_digest(ColdComparison),
        )
        chosen = tfx.dsl.Resolver(
            strategy_class=ChosenModel,
            choice=comparison.outputs[CHOICE.name],
            **{MODEL.name: warm.model, MODEL_RUN.name: warm.model_run},
            cold=cold.model,
            cold_run=cold.model_run,
        ).with_id(CHOSEN_MODEL)
        nodes = (trainer, unseen, comparison, chosen)
        return Candidate(nodes, chosen.outputs[MODEL.name], chosen.outputs[MODEL_RUN.name])

    def held_out(
        self, examples: types.BaseChannel, model: types.BaseChannel, baseline: BaseNode
    ) -> tuple[tuple[BaseNode, ...], types.BaseChannel]:
        """Return the span's examples, of which neither model has seen the eval split."""
        unseen = tfx.dsl.Resolver(
            strategy_class=UnseenExamples,
            examples=examples,
            model=model,
            served=baseline.outputs[BASELINE.name],
        ).with_id(HELD_OUT)
        return (unseen,), unseen.outputs["examples"]
