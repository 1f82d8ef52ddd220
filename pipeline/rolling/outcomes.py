"""What became of each span, kept in ML Metadata beside the runs."""

from __future__ import annotations

from typing import Literal

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from pydantic import BaseModel, ConfigDict

_TYPE = "next_movie.SpanOutcome"
_STRING = metadata_store_pb2.STRING


class SpanOutcome(BaseModel):
    """How the run of a span ended.

    Attributes
    ----------
    outcome
        `refused` by a gate of the data, `judged` where a model was trained and refused, or `published`.
    manifest_digest
        Of the span's data.
    reason
        Why it was refused; empty for others.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["refused", "judged", "published"]
    manifest_digest: str
    reason: str = ""


def read_outcomes(store: mlmd.MetadataStore) -> dict[int, SpanOutcome]:
    """Return the outcomes of all spans whose run ended, by their numbers."""
    if _TYPE not in {known.name for known in store.get_context_types()}:
        return {}
    return {
        int(context.name): SpanOutcome.model_validate(
            {name: value.string_value for name, value in context.properties.items()}
        )
        for context in store.get_contexts_by_type(_TYPE)
    }


def keep_outcome(store: mlmd.MetadataStore, span: int, outcome: SpanOutcome) -> None:
    """Keep the outcome of a span in place of an earlier one."""
    names = list(SpanOutcome.model_fields)
    type_id = store.put_context_type(
        metadata_store_pb2.ContextType(name=_TYPE, properties=dict.fromkeys(names, _STRING))
    )
    context = metadata_store_pb2.Context(type_id=type_id, name=str(span))
    if str(span) in {known.name for known in store.get_contexts_by_type(_TYPE)}:
        context.id = store.get_context_by_type_and_name(_TYPE, str(span)).id
    for name in names:
        context.properties[name].string_value = getattr(outcome, name)
    store.put_contexts([context])
