"""Resolvers of spans: those that were accepted, and what was made of them."""

from __future__ import annotations

from collections.abc import Iterable

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx import v1 as tfx

from components.artifacts import DataVerdict
from components.history.seen_data import check_unseen
from components.naming import MODEL, MODEL_RUN, RANGE_STATISTICS, REVISION_TYPE, SPAN_PROPERTY

_Event = metadata_store_pb2.Event

COLD_WINS = "cold_wins"
"""Property of the choice between a warm training's model and a cold one's: 1 or 0."""

_Artifacts = dict[str, list[types.Artifact]]


def span_of(examples: types.Artifact) -> int:
    """Return the span that Examples are of."""
    return examples.get_int_custom_property(SPAN_PROPERTY)


def accepted_spans(store: mlmd.MetadataStore, examples: Iterable[types.Artifact]) -> list[types.Artifact]:
    """Return the Examples that the data gate let pass: of each span the last, in the order of their spans."""
    passed = accepted_ids(store)
    newest = {span_of(found): found for found in sorted(examples, key=lambda found: found.id) if found.id in passed}
    return [newest[span] for span in sorted(newest)]


def accepted_ids(store: mlmd.MetadataStore) -> set[int]:
    """Return the ids of all Examples that the data gate let pass, which its verdicts came from.

    Those of a later revision, without a user who was forgotten, are accepted with those that they take the place of.
    """
    verdicts = [verdict.id for verdict in store.get_artifacts_by_type(DataVerdict.TYPE_NAME)]
    passed = read_for(store, read_for(store, verdicts, "statistics"), "examples")
    revisions = sorted(execution.id for execution in store.get_executions_by_type(REVISION_TYPE))
    events = store.get_events_by_execution_ids(revisions) if revisions else []
    for revision in revisions:
        own = [event for event in events if event.execution_id == revision]
        if any(event.type == _Event.INPUT and event.artifact_id in passed for event in own):
            passed |= {event.artifact_id for event in own if event.type == _Event.OUTPUT}
    return passed


class PreviousSpans(tfx.dsl.experimental.ResolverStrategy):
    """Picks the range of accepted spans that ends before the run's own; nothing before the first.

    Inputs are `examples`, the run's own, and `before`, all Examples there are.

    Parameters
    ----------
    num_spans
        Length of the range.
    """

    def __init__(self, num_spans: int) -> None:
        self._range = tfx.dsl.experimental.SpanRangeStrategy(rolling_range(num_spans))

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return `before`, emptied of all others."""
        span = span_of(input_dict["examples"][0])
        before = [found for found in accepted_spans(store, input_dict["before"]) if span_of(found) < span]
        in_range = self._range.resolve_artifacts(store, {"before": before}) if before else None
        return {**input_dict, **(in_range or {"before": []})}


class AcceptedSpans(tfx.dsl.experimental.ResolverStrategy):
    """Picks the accepted spans up to the run's own, from which a span range is taken.

    Inputs are `current`, the run's own Examples, `verdict`, which has to be there first, and `examples`, all there are.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return `examples`, emptied of all others."""
        span = span_of(input_dict["current"][0])
        found = [examples for examples in accepted_spans(store, input_dict["examples"]) if span_of(examples) <= span]
        return {**input_dict, "examples": found}


class PreviousRangeStatistics(tfx.dsl.experimental.ResolverStrategy):
    """Picks the newest statistics of a range of accepted spans that ends before the run's own.

    Inputs are `examples`, the run's own, and `previous`, all statistics there are.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return `previous`, emptied of all others."""
        span = span_of(input_dict["examples"][0])
        for statistics in sorted(input_dict["previous"], key=lambda found: found.id, reverse=True):
            makers = _makers(store, [statistics.id])
            if not any(_node_of(store, maker) == RANGE_STATISTICS for maker in makers):
                continue
            counted = store.get_artifacts_by_id(list(read_for(store, [statistics.id], "examples")))
            if all(examples.custom_properties[SPAN_PROPERTY].int_value < span for examples in counted):
                return {**input_dict, "previous": [statistics]}
        return {**input_dict, "previous": []}


class UnseenExamples(tfx.dsl.experimental.ResolverStrategy):
    """Hands on examples whose eval split no given model was trained on, by lineage; else there is an error.

    Inputs are `examples`, and any others, each one model or none.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return the inputs as they are.

        Raises
        ------
        InputError
            One of the models was trained on that split.
        """
        for name, models in input_dict.items():
            for model in models if name != "examples" else ():
                check_unseen(store, model.id, span_of(input_dict["examples"][0]), "eval")
        return input_dict


class ChosenModel(tfx.dsl.experimental.ResolverStrategy):
    """Picks the model that won, of the warm training and the cold one beside it, with what its training wrote.

    Inputs are `choice`, `model` and `model_run` of the warm training, and `cold` and `cold_run` of the other.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return `model` and `model_run` of the winner, and nothing of the other one."""
        cold, cold_run = input_dict["cold"], input_dict["cold_run"]
        wins = input_dict["choice"][0].get_int_custom_property(COLD_WINS) == 1
        won = {MODEL.name: cold, MODEL_RUN.name: cold_run} if wins else {}
        return {**input_dict, **won, "cold": [], "cold_run": []}


def rolling_range(num_spans: int) -> tfx.proto.RangeConfig:
    """Return TFX's range of the last spans."""
    return tfx.proto.RangeConfig(rolling_range=tfx.proto.RollingRange(num_spans=num_spans))


def _makers(store: mlmd.MetadataStore, artifacts: list[int]) -> list[int]:
    events = store.get_events_by_artifact_ids(artifacts) if artifacts else []
    return [event.execution_id for event in events if event.type == _Event.OUTPUT]


def read_for(store: mlmd.MetadataStore, artifacts: Iterable[int], name: str) -> set[int]:
    """Return the ids of the inputs of a name that artifacts were made from."""
    makers = _makers(store, list(artifacts))
    events = store.get_events_by_execution_ids(makers) if makers else []
    return {e.artifact_id for e in events if e.type == _Event.INPUT and e.path.steps[0].key == name}


def _node_of(store: mlmd.MetadataStore, execution: int) -> str:
    """Return the node's id; TFX names its context `<pipeline>.<node>`."""
    names = [context.name for context in store.get_contexts_by_execution(execution) if context.type == "node"]
    return names[0].rpartition(".")[2] if names else ""
