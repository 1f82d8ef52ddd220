"""The pipeline as TFX's tutorials wire it: stock components with their documented defaults."""

from __future__ import annotations

from pathlib import Path

from tfx import v1 as tfx

from components.gate_settings import ModelGateSettings
from data.examples.shards import SPLITS, shard_pattern
from data.releases.catalogue import CATALOGUE_FILE
from pipeline.eval_config import evaluation_config
from pipeline.settings import RunPaths

PIPELINE_NAME = "textbook"


def textbook_pipeline(paths: RunPaths, *, curated_schema: bool = False, epochs: int | None = None) -> tfx.dsl.Pipeline:
    """Wire stock components up over generated shards.

    What it learns, and how it is judged, is the project's own: its vocabulary, its `evaluate` signature and its
    metrics. All the rest is as a reader of the tutorials would write it.

    Parameters
    ----------
    places
        Where things lie; a metadata file is needed.
    curated_schema
        Take `paths.schema_file` from the start in place of inferring a schema from the statistics. Then the
        statistics are computed under the same schema as ours, and can be compared with them.
    epochs
        Passes over the train split; by default the tutorial's own.
    """
    example_gen = tfx.components.ImportExampleGen(
        input_base=paths.data_root,
        input_config=tfx.proto.Input(
            splits=[tfx.proto.Input.Split(name=split, pattern=shard_pattern(split)) for split in SPLITS]
        ),
    )
    examples = example_gen.outputs["examples"]

    if curated_schema:
        schema_gen = tfx.components.ImportSchemaGen(schema_file=paths.schema_file)
        statistics_gen = tfx.components.StatisticsGen(examples=examples, schema=schema_gen.outputs["schema"])
    else:
        statistics_gen = tfx.components.StatisticsGen(examples=examples)
        schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs["statistics"])
    schema = schema_gen.outputs["schema"]

    validator = tfx.components.ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema)

    transform = tfx.components.Transform(
        examples=examples, schema=schema, preprocessing_fn="benchmarks.speed.stock_tfx_preprocessing.preprocessing_fn"
    )

    trainer = tfx.components.Trainer(
        run_fn="benchmarks.speed.stock_tfx_trainer.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config={"catalogue_file": str(Path(paths.data_root) / CATALOGUE_FILE), "epochs": epochs},
    )

    baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")

    evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=["eval"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        schema=schema,
        eval_config=evaluation_config(ModelGateSettings(), code_digest=""),
    )

    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=paths.serving)
        ),
    )

    return tfx.dsl.Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=paths.pipeline_root,
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            validator,
            transform,
            trainer,
            baseline,
            evaluator,
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(paths.metadata),
        beam_pipeline_args=list(paths.beam_args),
    )
