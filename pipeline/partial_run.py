"""Runs that begin at a later step: what they need of the run before, and the step itself, which always runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.types.channel import OutputChannel

from data.errors import InputError
from pipeline.metadata_store import open_store

_Artifact = metadata_store_pb2.Artifact
_Execution = metadata_store_pb2.Execution
_FINISHED = (_Execution.COMPLETE, _Execution.CACHED)


class FreshNodeRunner(tfx.orchestration.LocalDagRunner):
    """A local runner that takes one node from no cache: who names a step to begin at wants it to run.

    Parameters
    ----------
    node
        The node's id; None for none.
    """

    def __init__(self, node: str | None = None) -> None:
        super().__init__()
        self._node = node

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        """Run a compiled pipeline."""
        for node in pipeline.nodes:
            if node.pipeline_node.node_info.id == self._node:
                node.pipeline_node.execution_options.caching_options.enable_cache = False
        super().run_with_ir(pipeline, run_options)


def check_earlier_steps(graph: tfx.dsl.Pipeline, from_nodes: Iterable[str], metadata_file: str) -> None:
    """Check that the last run left what a run that begins at later nodes takes from it.

    Parameters
    ----------
    graph
        The pipeline.
    from_nodes
        Where it begins, the node that was named first.
    metadata_file
        The pipeline's SQLite file, in which artifacts without files are marked as deleted.

    Raises
    ------
    InputError
        A node before did not finish in the last run, or what the others read of it is deleted.
    """
    named, *_ = from_nodes = list(from_nodes)
    nodes = {node.id: node for node in graph.components}
    running = _reached([nodes[node] for node in from_nodes], "downstream_nodes")
    before = _reached([nodes[node] for node in running], "upstream_nodes") - running
    left = _left_by_last_run(open_store(metadata_file, read_only=True))
    read = {
        (channel.producer_component_id, channel.output_key)
        for node in running
        for channel in nodes[node].inputs.values()
        if isinstance(channel, OutputChannel) and channel.producer_component_id in before
    }
    missing = {node for node in before if node not in left}
    missing |= {node for node, output in read if node in left and not left[node].get(output, True)}
    if missing:
        told = ", ".join(node for node in nodes if node in missing)
        raise InputError(
            f"--from-node {named}: the last run left nothing of {told} to begin with: run without it", code="A04"
        )


def _reached(start: list[Any], direction: str) -> set[str]:
    """Return the ids of nodes and of all that lie up or down the graph from them."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node.id not in found:
            found.add(node.id)
            waiting.extend(getattr(node, direction))
    return found


def _left_by_last_run(store: mlmd.MetadataStore) -> dict[str, dict[str, bool]]:
    """Return for each node that finished in the last run whether its outputs, by name, are live."""
    runs = store.get_contexts_by_type("pipeline_run")
    if not runs:
        return {}
    executions = store.get_executions_by_context(max(runs, key=lambda run: run.id).id)
    return {
        _node_of(store, execution.id): dict(_outputs_of(store, execution.id))
        for execution in executions
        if execution.last_known_state in _FINISHED
    }


def _node_of(store: mlmd.MetadataStore, execution_id: int) -> str:
    """Return the node's id; TFX names its context `<pipeline>.<node>`."""
    names = {context.name for context in store.get_contexts_by_execution(execution_id) if context.type == "node"}
    return names.pop().rpartition(".")[2]


def _outputs_of(store: mlmd.MetadataStore, execution_id: int) -> Iterator[tuple[str, bool]]:
    events = store.get_events_by_execution_ids([execution_id])
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id([e.artifact_id for e in events])}
    for event in events:
        if event.type != metadata_store_pb2.Event.INPUT:
            yield event.path.steps[0].key, artifacts[event.artifact_id].state == _Artifact.LIVE
