"""What a pipeline does otherwise that learns from spans of data and runs on a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from tfx import types
from tfx.dsl.components.base.base_node import BaseNode

from components.ingestion import example_gen
from components.ingestion.data_generator import GeneratedExampleGen
from components.naming import (
    ACCEPTED_SPANS,
    BASELINE,
    EXAMPLE_GEN,
    EXAMPLES,
    NEXT_SPAN,
    PREQUENTIAL,
    PREVIOUS,
    RANGE_STATISTICS,
    SPAN_GATE,
    SPAN_RANGE,
)
from components.spans.cluster_history import (
    AcceptedRange,
    AcceptedSpan,
    KeptRangeStatistics,
    ServedVersion,
    SpanKeeper,
)
from components.spans.next_span import NextSpan
from components.spans.prequential import PrequentialEvaluation
from components.spans.span_gate import SpanGate
from components.statistics.statistics_gen import ShardStatisticsGen
from data.span_settings import SpanSettings
from pipeline.backend import Ingestion, Learning
from pipeline.code_digest import code_digest
from pipeline.kubeflow.backend import DATA_SOURCE, ClusterBackend, asked_histories
from pipeline.rolling_settings import RollingPipelineSettings
from pipeline.settings import RunPaths, Settings


@dataclass(frozen=True)
class ClusterSpanBackend(ClusterBackend):
    """One span of a series a run, which the first task finds; earlier results lie in folders that outlive runs.

    Attributes
    ----------
    series
        Folder of spans, where the data source holds none.
    ledger
        Folder of what became of each span.
    rolling
        What is learned from, and when a span is refused.
    """

    series: str
    ledger: str
    rolling: RollingPipelineSettings

    def source(self, settings: Settings, paths: RunPaths) -> Ingestion:
        """Return an importer of the data source, if there is one, the task that finds the span, and ExampleGen."""
        given = self.importer()
        source = {} if given is None else {"source": given.outputs["result"]}
        found = NextSpan(
            options=settings.data.options.model_dump_json(),
            spans=(settings.data.spans or SpanSettings()).model_dump_json(),
            series=self.series,
            ledger=self.ledger,
            num_spans=self.rolling.num_spans,
            drift_tolerance=self.rolling.span_gate.drift_tolerance,
            span=0,
            beam_args="",
            **asked_histories(settings),
            **source,
        ).with_id(NEXT_SPAN)
        examples = GeneratedExampleGen(
            data=found.outputs["data"], code_digest=code_digest(example_gen.Executor), span="newest"
        ).with_id(EXAMPLE_GEN)
        gate = SpanGate(
            examples=examples.outputs[EXAMPLES.name],
            before=found.outputs["before"],
            settings=self.rolling.span_gate.model_dump_json(),
            code_digest=code_digest(SpanGate),
        ).with_id(SPAN_GATE)
        return Ingestion(
            (*([] if given is None else [given]), found, examples, gate),
            examples.outputs[EXAMPLES.name],
            found.outputs["schema"],
        )

    def previous_statistics(self, statistics: types.BaseChannel, examples: types.BaseChannel) -> BaseNode:
        """Return the task that looks for the kept statistics of the last range."""
        return KeptRangeStatistics(examples=examples, current=statistics, folder=self.statistics).with_id(PREVIOUS.step)

    def remember(
        self, statistics: types.BaseChannel, examples: types.BaseChannel, verdict: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return nothing: the statistics of the range are kept in the end."""
        return ()

    def baseline(self, paths: RunPaths, examples: types.BaseChannel) -> BaseNode:
        """Return the task that looks for the model that is served."""
        return ServedVersion(examples=examples, serving=paths.serving).with_id(BASELINE.step)

    def learning(
        self, settings: Settings, source: Ingestion, baseline: BaseNode, verdict: types.BaseChannel
    ) -> Learning:
        """Return the range of accepted spans, and the served model, which is measured on the new span before."""
        nodes = {node.id: node for node in source.nodes}
        served = baseline.outputs[BASELINE.name]
        accepted = AcceptedSpan(
            examples=source.examples,
            span_verdict=nodes[SPAN_GATE].outputs["verdict"],
            verdict=verdict,
            ledger=self.ledger,
        ).with_id(ACCEPTED_SPANS)
        prequential = PrequentialEvaluation(
            examples=source.examples, model=served, code_digest=code_digest(PrequentialEvaluation)
        ).with_id(PREQUENTIAL)
        given = {"source": nodes[DATA_SOURCE].outputs["result"]} if DATA_SOURCE in nodes else {}
        in_range = AcceptedRange(
            current=source.examples,
            series=self.series,
            ledger=self.ledger,
            num_spans=self.rolling.num_spans,
            served=served,
            **given,
        ).with_id(SPAN_RANGE)
        # Both wait for the gates: a refused span is neither learned from nor a figure.
        prequential.add_upstream_node(accepted)
        in_range.add_upstream_node(prequential)
        examples = in_range.outputs[EXAMPLES.name]
        statistics = ShardStatisticsGen(
            examples=examples, schema=source.schema, code_digest=code_digest(ShardStatisticsGen)
        ).with_id(RANGE_STATISTICS)
        return Learning(
            (accepted, prequential, in_range, statistics),
            examples,
            base_model=in_range.outputs["base_model"],
            custom_config={"rolling": self.rolling.start.model_dump()},
        )

    def conclude(
        self, examples: types.BaseChannel, learning: Learning, pushed_model: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return the task that keeps what became of the span."""
        nodes = {node.id: node for node in learning.nodes}
        return (
            SpanKeeper(
                examples=examples,
                statistics=nodes[RANGE_STATISTICS].outputs["statistics"],
                figures=nodes[PREQUENTIAL].outputs["figures"],
                pushed_model=pushed_model,
                folder=self.statistics,
                ledger=self.ledger,
            ),
        )
