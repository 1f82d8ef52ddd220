"""The whole graph on one page."""

from __future__ import annotations

from tfx import v1 as tfx
from tfx.dsl.components.base import executor_spec

from components import pusher
from components.data_gate import DataGate
from components.example_gen import shard_example_gen
from components.resolving import PreviousStatistics
from pipeline.judging import METRICS_MODULE, evaluation_config
from pipeline.settings import Places, Settings
from pipeline.source_digest import source_digest


def create_pipeline(settings: Settings, places: Places) -> tfx.dsl.Pipeline:
    """Wire the components up.

    Parameters
    ----------
    settings
        What is made, and how it is judged.
    places
        Where things lie.
    """
    examples = shard_example_gen(places.data_root, places.manifest_digest)

    schema = tfx.components.ImportSchemaGen(schema_file=places.schema_file).with_id("SchemaImporter")

    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"], schema=schema.outputs["schema"])

    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )

    previous = tfx.dsl.Resolver(
        strategy_class=PreviousStatistics,
        current=statistics.outputs["statistics"],
        previous=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ExampleStatistics),
    ).with_id("PreviousStatistics")

    gate = DataGate(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        anomalies=validator.outputs["anomalies"],
        previous_statistics=previous.outputs["previous"],
        settings=settings.data_gate.model_dump_json(),
        source_digest=source_digest("components.data_gate"),
    )

    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="trainer_module.preprocessing.preprocessing_fn",
        materialize=False,
        disable_statistics=True,
        custom_config={"source_digest": source_digest("trainer_module.preprocessing")},
    )
    transform.add_upstream_node(gate)

    trainer = tfx.components.Trainer(
        run_fn="trainer_module.trainer.run_fn",
        examples=examples.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config={
            "model": settings.model.model_dump(),
            "training": settings.training.model_dump(),
            "source_digest": source_digest("trainer_module.trainer"),
        },
    )

    baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")

    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        example_splits=["eval"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        schema=schema.outputs["schema"],
        eval_config=evaluation_config(settings.model_gate, source_digest(METRICS_MODULE)),
    )

    push = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=places.serving)
        ),
        custom_config={
            "keep_versions": settings.publish.keep_versions,
            "publication": {
                "pipeline": settings.pipeline_name,
                "manifest_digest": places.manifest_digest,
                "settings": settings.model_dump(mode="json"),
            },
            "source_digest": source_digest("components.pusher"),
        },
        custom_executor_spec=executor_spec.ExecutorClassSpec(pusher.Executor),
    )

    return tfx.dsl.Pipeline(
        pipeline_name=settings.pipeline_name,
        pipeline_root=places.pipeline_root,
        components=[
            examples,
            schema,
            statistics,
            validator,
            previous,
            gate,
            transform,
            trainer,
            baseline,
            evaluator,
            push,
        ],
        enable_cache=True,
        metadata_connection_config=(
            tfx.orchestration.metadata.sqlite_metadata_connection_config(places.metadata) if places.metadata else None
        ),
        beam_pipeline_args=list(places.beam_args),
    )
