"""What depends on where the pipeline runs: where its data comes from, and how earlier runs' results are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from components.batch_answers.served_version import served_state
from components.history.resolving import ComparableModel, PreviousStatistics
from components.ingestion.example_gen import shard_example_gen
from components.naming import BASELINE, EXAMPLES, MODEL, MODEL_RUN, PASSED_OVER, PREVIOUS
from pipeline.code_digest import code_digest
from pipeline.settings import RunPaths, Settings


@dataclass(frozen=True)
class Ingestion:
    """The pipeline's beginning.

    Attributes
    ----------
    nodes
        In the order in which they run.
    examples, schema
        Channels of their outputs.
    """

    nodes: tuple[BaseNode, ...]
    examples: types.BaseChannel
    schema: types.BaseChannel


@dataclass(frozen=True)
class Learning:
    """What a model learns from.

    Attributes
    ----------
    nodes
        Those that choose it, in the order in which they run.
    examples
        Channel of one Examples artifact or of several.
    base_model
        Channel of the model that training may start from; None for none.
    custom_config
        What the Trainer is told besides.
    """

    nodes: tuple[BaseNode, ...]
    examples: types.BaseChannel
    base_model: types.BaseChannel | None = None
    custom_config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """The model that is judged.

    Attributes
    ----------
    nodes
        Those that choose it, in the order in which they run.
    model, model_run
        Channels of the model and of what its training wrote.
    """

    nodes: tuple[BaseNode, ...]
    model: types.BaseChannel
    model_run: types.BaseChannel


Train = Callable[[Mapping[str, Any], types.BaseChannel | None], BaseNode]
"""Returns a Trainer, given what it is told besides and the model that training may start from."""


class Backend(Protocol):
    """The differences between places to run."""

    def source(self, settings: Settings, paths: RunPaths) -> Ingestion:
        """Return the nodes that bring examples and schema."""

    def previous_statistics(self, statistics: types.BaseChannel, examples: types.BaseChannel) -> BaseNode:
        """Return the node whose output `previous` holds the last other statistics of the same data identity, if any."""

    def remember(
        self, statistics: types.BaseChannel, examples: types.BaseChannel, verdict: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return nodes, if any are needed, that keep statistics for later runs once the gate has let them pass."""

    def learning(
        self, settings: Settings, source: Ingestion, baseline: BaseNode, verdict: types.BaseChannel
    ) -> Learning:
        """Return what is learned from, once the data gate let the run's examples pass."""

    def candidate(self, settings: Settings, examples: types.BaseChannel, trainer: BaseNode, train: Train) -> Candidate:
        """Return the model that is judged: the Trainer's, or that of another one made by `train`."""

    def held_out(
        self, examples: types.BaseChannel, model: types.BaseChannel, baseline: BaseNode
    ) -> tuple[tuple[BaseNode, ...], types.BaseChannel]:
        """Return the channel of examples that models are compared on, and the nodes that choose them."""

    def conclude(
        self, examples: types.BaseChannel, learning: Learning, pushed_model: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return nodes, if any are needed, that keep for later runs what became of this one."""

    def pages(
        self, report: types.BaseChannel, statistics: types.BaseChannel, examples: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return nodes, if any are needed, that show the run in the backend's own pages."""

    def served(self, paths: RunPaths) -> str:
        """Return the state of what is served before the run, where steps are taken from a cache that can't see it."""

    def baseline(self, paths: RunPaths, examples: types.BaseChannel) -> BaseNode:
        """Return the node that looks for the model to compare with.

        Its output `model` holds the last blessed model that may be compared with on the examples, if there is one;
        where there is none, `passed_over` holds the last blessed model of other data.
        """


class WholeData:
    """Models that learn from the run's own examples, and nothing else."""

    def learning(
        self, settings: Settings, source: Ingestion, baseline: BaseNode, verdict: types.BaseChannel
    ) -> Learning:
        """Return the run's examples."""
        return Learning((), source.examples)

    def candidate(self, settings: Settings, examples: types.BaseChannel, trainer: BaseNode, train: Train) -> Candidate:
        """Return the Trainer's model."""
        return Candidate((), trainer.outputs[MODEL.name], trainer.outputs[MODEL_RUN.name])

    def held_out(
        self, examples: types.BaseChannel, model: types.BaseChannel, baseline: BaseNode
    ) -> tuple[tuple[BaseNode, ...], types.BaseChannel]:
        """Return the run's examples."""
        return (), examples

    def conclude(
        self, examples: types.BaseChannel, learning: Learning, pushed_model: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return nothing."""
        return ()


class LocalBackend(WholeData):
    """Data that lies ready in a folder; earlier results come from ML Metadata."""

    def source(self, settings: Settings, paths: RunPaths) -> Ingestion:
        """Return ExampleGen and the importer of the schema."""
        examples = shard_example_gen(paths.data_root, paths.manifest_digest, code_digest(shard_example_gen))
        schema = tfx.components.ImportSchemaGen(schema_file=paths.schema_file).with_id("SchemaImporter")
        return Ingestion((examples, schema), examples.outputs[EXAMPLES.name], schema.outputs["schema"])

    def previous_statistics(self, statistics: types.BaseChannel, examples: types.BaseChannel) -> BaseNode:
        """Return a Resolver."""
        return tfx.dsl.Resolver(
            strategy_class=PreviousStatistics,
            examples=examples,
            current=statistics,
            previous=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ExampleStatistics),
        ).with_id(PREVIOUS.step)

    def remember(
        self, statistics: types.BaseChannel, examples: types.BaseChannel, verdict: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return nothing: ML Metadata remembers."""
        return ()

    def pages(
        self, report: types.BaseChannel, statistics: types.BaseChannel, examples: types.BaseChannel
    ) -> tuple[BaseNode, ...]:
        """Return nothing: the report is opened where it lies."""
        return ()

    def served(self, paths: RunPaths) -> str:
        """Return the state of the folder of published versions."""
        return served_state(Path(paths.serving))

    def baseline(self, paths: RunPaths, examples: types.BaseChannel) -> BaseNode:
        """Return a Resolver."""
        return tfx.dsl.Resolver(
            strategy_class=ComparableModel,
            examples=examples,
            model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
            model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
            **{PASSED_OVER.name: tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model)},
        ).with_id(BASELINE.step)
