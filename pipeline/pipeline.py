"""The whole graph on one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx import v1 as tfx

from components.audit.audit import Audit
from components.batch_answers.batch_recommender import BatchRecommender
from components.data_gate.data_gate import DataGate
from components.naming import (
    ANOMALIES,
    AUDIT_RECORD,
    BASELINE,
    BLESSING,
    EVALUATION,
    PASSED_OVER,
    PREVIOUS,
    PUSHED_MODEL,
    RUN_REPORT,
    SERVABILITY,
    STATISTICS,
    STATISTICS_GEN,
    TRANSFORM,
    TRANSFORM_GRAPH,
    UNPADDED_STATISTICS,
    VERDICT,
)
from components.publishing.pusher import Pusher
from components.report.run_report import RunReporter
from components.serving_check.servable_check import ServableCheck
from components.statistics.statistics_gen import ShardStatisticsGen
from components.transform.transform import ShardTransform
from pipeline.backend import Backend, LocalBackend
from pipeline.code_digest import code_digest
from pipeline.eval_config import EXTRACTORS_MODULE, METRICS_MODULE, evaluation_config
from pipeline.settings import RunPaths, Settings

PREPROCESSING_FN = "trainer_module.preprocessing.preprocessing_fn"
RUN_FN = "trainer_module.trainer.run_fn"
"""What Transform and Trainer are given to run."""


def source_digest() -> str:
    """Return the digest of the code that trains, which publications and reports name."""
    return code_digest(PREPROCESSING_FN, RUN_FN)


def create_pipeline(settings: Settings, paths: RunPaths, backend: Backend | None = None) -> tfx.dsl.Pipeline:
    """Wire the components up.

    Parameters
    ----------
    settings
        What is made, and how it is judged.
    paths
        Where things lie.
    backend
        Where the data comes from and how earlier results are found; by default as on this machine.
    """
    backend = backend or LocalBackend()
    source = backend.source(settings, paths)
    examples, schema = source.examples, source.schema

    statistics = ShardStatisticsGen(
        examples=examples, schema=schema, code_digest=code_digest(ShardStatisticsGen)
    ).with_id(STATISTICS_GEN)

    validator = tfx.components.ExampleValidator(statistics=statistics.outputs[STATISTICS.name], schema=schema)

    previous = backend.previous_statistics(statistics.outputs[STATISTICS.name], examples)

    gate = DataGate(
        statistics=statistics.outputs[STATISTICS.name],
        schema=schema,
        anomalies=validator.outputs[ANOMALIES.name],
        previous_statistics=previous.outputs[PREVIOUS.name],
        settings=settings.data_gate.model_dump_json(),
        code_digest=code_digest(DataGate),
    )

    remember = backend.remember(statistics.outputs[STATISTICS.name], examples, gate.outputs[VERDICT.name])

    baseline = backend.baseline(paths, examples)

    learning = backend.learning(settings, source, baseline, gate.outputs[VERDICT.name])

    transform = ShardTransform(
        examples=learning.examples,
        schema=schema,
        preprocessing_fn=PREPROCESSING_FN,
        code_digest=code_digest(ShardTransform, PREPROCESSING_FN),
    ).with_id(TRANSFORM)
    transform.add_upstream_node(gate)

    def train(custom_config: Mapping[str, Any], base_model: types.BaseChannel | None) -> tfx.components.Trainer:
        return tfx.components.Trainer(
            run_fn=RUN_FN,
            examples=learning.examples,
            transform_graph=transform.outputs[TRANSFORM_GRAPH.name],
            schema=schema,
            base_model=base_model,
            train_args=tfx.proto.TrainArgs(splits=["train"]),
            eval_args=tfx.proto.EvalArgs(splits=["eval"]),
            custom_config={
                "model": settings.model.model_dump(),
                "training": settings.training.model_dump(),
                "code_digest": code_digest(RUN_FN),
                **custom_config,
            },
        )

    trainer = train(learning.custom_config, learning.base_model)

    candidate = backend.candidate(settings, examples, trainer, train)

    audit = Audit(
        examples=examples,
        model=candidate.model,
        settings=settings.audit.model_dump_json(),
        code_digest=code_digest(Audit),
    )

    choosing, held_out = backend.held_out(examples, candidate.model, baseline)

    evaluator = tfx.components.Evaluator(
        examples=held_out,
        example_splits=["eval"],
        model=candidate.model,
        baseline_model=baseline.outputs[BASELINE.name],
        schema=schema,
        eval_config=evaluation_config(settings.model_gate, code_digest(METRICS_MODULE, EXTRACTORS_MODULE)),
        module_path=EXTRACTORS_MODULE,
    )

    servable = ServableCheck(
        model=candidate.model,
        settings=settings.servable_check.model_dump_json(),
        code_digest=code_digest(ServableCheck),
    )

    push = Pusher(
        model=candidate.model,
        model_blessing=evaluator.outputs[BLESSING.name],
        infra_blessing=servable.outputs[SERVABILITY.name],
        audit=audit.outputs[AUDIT_RECORD.name],
        examples=examples,
        evaluation=evaluator.outputs[EVALUATION.name],
        serving=paths.serving,
        custom_config={
            "keep_versions": settings.publish.keep_versions,
            "private_key": settings.publish.private_key,
            "publication": {
                "pipeline": settings.pipeline_name,
                "source_digest": source_digest(),
                "settings": settings.model_dump(mode="json", exclude={"kubeflow"}),
            },
            "code_digest": code_digest(Pusher),
        },
    )

    report = RunReporter(
        examples=examples,
        statistics=statistics.outputs[UNPADDED_STATISTICS.name],
        anomalies=validator.outputs[ANOMALIES.name],
        verdict=gate.outputs[VERDICT.name],
        model=candidate.model,
        model_run=candidate.model_run,
        evaluation=evaluator.outputs[EVALUATION.name],
        blessing=evaluator.outputs[BLESSING.name],
        servability=servable.outputs[SERVABILITY.name],
        audit=audit.outputs[AUDIT_RECORD.name],
        pushed_model=push.outputs[PUSHED_MODEL.name],
        passed_over=baseline.outputs[PASSED_OVER.name],
        pipeline_name=settings.pipeline_name,
        settings=settings.model_dump_json(exclude={"kubeflow"}),
        source_digest=source_digest(),
        code_digest=code_digest(RunReporter),
    ).with_id(RUN_REPORT)

    answers = (
        (
            BatchRecommender(
                examples=learning.examples,
                pushed_model=push.outputs[PUSHED_MODEL.name],
                serving=paths.serving,
                settings=settings.batch_answers.model_dump_json(),
                served=backend.served(paths),
                code_digest=code_digest(BatchRecommender),
            ),
        )
        if settings.batch_answers.enabled
        else ()
    )

    kept = backend.conclude(examples, learning, push.outputs[PUSHED_MODEL.name])

    pages = backend.pages(report.outputs["report"], statistics.outputs["unpadded"], examples)

    return tfx.dsl.Pipeline(
        pipeline_name=settings.pipeline_name,
        pipeline_root=paths.pipeline_root,
        components=[
            *source.nodes,
            statistics,
            validator,
            previous,
            gate,
            *remember,
            *learning.nodes,
            transform,
            trainer,
            *candidate.nodes,
            audit,
            baseline,
            *choosing,
            evaluator,
            servable,
            push,
            *answers,
            report,
            *kept,
            *pages,
        ],
        enable_cache=True,
        metadata_connection_config=(
            tfx.orchestration.metadata.sqlite_metadata_connection_config(paths.metadata) if paths.metadata else None
        ),
        beam_pipeline_args=list(paths.beam_args),
    )


def nodes_to_start(graph: tfx.dsl.Pipeline, from_node: str) -> list[str]:
    """Return the ids of a node and of the resolvers that feed the nodes which run from it on.

    Taken from the run before, as TFX takes all else, a resolver would hand out what that run was compared with: a model
    would be held against none, or against one that others have followed since.

    Parameters
    ----------
    graph
        The pipeline.
    from_node
        The node to start at.
    """
    nodes = {node.id: node for node in graph.components}
    running: set[str] = set()
    waiting = [nodes[from_node]]
    while waiting:
        node = waiting.pop()
        if node.id not in running:
            running.add(node.id)
            waiting.extend(node.downstream_nodes)
    resolvers = [node for node in graph.components if isinstance(node, tfx.dsl.Resolver) and node.id != from_node]
    return [
        from_node,
        *(node.id for node in resolvers if {follower.id for follower in node.downstream_nodes} <= running),
    ]
