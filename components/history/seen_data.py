"""Which data a model was trained on, by its lineage in ML Metadata."""

from __future__ import annotations

import json
from typing import NamedTuple

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.naming import SPAN_PROPERTY
from data.errors import InputError

_Event = metadata_store_pb2.Event


class SpanSplit(NamedTuple):
    """A split of a span."""

    span: int
    split: str


def seen_by(store: mlmd.MetadataStore, model_id: int) -> set[SpanSplit]:
    """Return what a model, and those that it was warm-started from, were trained on.

    Parameters
    ----------
    store
        The pipeline's metadata.
    model_id
        The model's id there.
    """
    found: set[SpanSplit] = set()
    waiting, done = [model_id], set()
    while waiting:
        model = waiting.pop()
        if model in done:
            continue
        done.add(model)
        makers = [e.execution_id for e in store.get_events_by_artifact_ids([model]) if e.type == _Event.OUTPUT]
        for execution in store.get_executions_by_id(makers):
            read = [e for e in store.get_events_by_execution_ids([execution.id]) if e.type == _Event.INPUT]
            by_name = {
                name: [e.artifact_id for e in read if e.path.steps[0].key == name]
                for name in ("examples", "base_model")
            }
            splits = json.loads(execution.custom_properties["train_args"].string_value)["splits"]
            for examples in store.get_artifacts_by_id(by_name["examples"]):
                span = examples.custom_properties[SPAN_PROPERTY].int_value
                found |= {SpanSplit(span, split) for split in splits}
            waiting += by_name["base_model"]
    return found


def check_unseen(store: mlmd.MetadataStore, model_id: int, span: int, split: str) -> None:
    """Raise `InputError` if a model, or one that it was warm-started from, was trained on a split of a span."""
    if SpanSplit(span, split) in seen_by(store, model_id):
        raise InputError(
            f"a model was to be evaluated on the {split} split of span {span}, which it was trained on: its figures "
            "would mean nothing",
            code="M33",
        )
