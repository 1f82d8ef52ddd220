"""The spans so far: what became of each, and how the served model did on it before anything was learned from it."""

from __future__ import annotations

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx

from components.artifacts import PrequentialFigures
from components.evaluation.metric_names import NDCG, QUERIES, RECALL
from components.history.spans import read_for
from components.naming import BASELINE, SPAN_PROPERTY
from components.report.metrics import share_interval
from components.report.report_model import SpanDay
from pipeline.metadata_store import open_store
from pipeline.rolling.outcomes import SpanOutcome, read_outcomes


def read_days(metadata_file: str, current: int, now: SpanOutcome | None) -> list[SpanDay]:
    """Read what is known of all spans, ascending.

    Figures are those of the newest run of a span. They are properties in ML Metadata, so that those of runs whose files
    were deleted stay.

    Parameters
    ----------
    metadata_file
        The pipeline's SQLite file.
    current
        The span of the run that asks.
    now
        What became of that; None where nothing was decided.
    """
    store = open_store(metadata_file)
    outcomes = read_outcomes(store)
    outcomes.pop(current, None)
    if now is not None:
        outcomes[current] = now
    figures: dict[int, metadata_store_pb2.Artifact] = {}
    for artifact in sorted(store.get_artifacts_by_type(PrequentialFigures.TYPE_NAME), key=lambda found: found.id):
        # A step that was killed leaves an artifact without properties.
        if SPAN_PROPERTY in artifact.custom_properties:
            figures[artifact.custom_properties[SPAN_PROPERTY].int_value] = artifact
    versions = _versions(store)
    return [
        _day(store, span, figures.get(span), outcomes.get(span), versions).model_copy(
            update={"current": span == current}
        )
        for span in sorted({*figures, *outcomes, current})
    ]


def _day(
    store: mlmd.MetadataStore,
    span: int,
    figures: metadata_store_pb2.Artifact | None,
    outcome: SpanOutcome | None,
    versions: dict[int, str],
) -> SpanDay:
    day = SpanDay(span=span)
    if outcome is not None:
        day = SpanDay(span=span, outcome=outcome.outcome, reason=outcome.reason or None)
    if figures is None or RECALL not in figures.custom_properties:
        return day
    recall, ndcg, queries = (figures.custom_properties[name].double_value for name in (RECALL, NDCG, QUERIES))
    low, high = share_interval(recall, round(queries))
    served = [versions[model] for model in read_for(store, [figures.id], BASELINE.name) if model in versions]
    return day.model_copy(
        update={
            "version": served[0] if served else None,
            "recall": recall,
            "low": low,
            "high": high,
            "ndcg": ndcg,
            "queries": round(queries),
        }
    )


def _versions(store: mlmd.MetadataStore) -> dict[int, str]:
    """Return as which version each model was published last, by the model's id."""
    pushes = store.get_artifacts_by_type(tfx.types.standard_artifacts.PushedModel.TYPE_NAME)
    return {
        model: pushed.custom_properties["pushed_version"].string_value
        for pushed in sorted(pushes, key=lambda found: found.id)
        if "pushed_version" in pushed.custom_properties and pushed.custom_properties["pushed"].int_value == 1
        for model in read_for(store, [pushed.id], "model")
    }
