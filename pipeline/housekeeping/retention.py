"""What has to stay of earlier runs: what later runs read, and what says where a model came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2

from components.naming import RANGE_STATISTICS, SAVED_MODEL, SPAN_PROPERTY
from data.identity import DataIdentity
from pipeline.defaults import serving_root
from pipeline.housekeeping.run_graph import (
    BLESSING_TYPE,
    EXAMPLES_TYPE,
    MODEL_TYPE,
    PUSHED_TYPE,
    STATISTICS_TYPE,
    VERDICT_TYPE,
    RecordedRun,
    RunGraph,
)
from serving.publication import read_publication
from serving.versions import model_digest, published_versions, version_folders

_STATISTICS_KEPT = 2
"""A run of data as before is held against the statistics before its own, one of new data against the newest."""

_BLESSED_MODEL = "current_model_id"
"""Custom property that the Evaluator gives a blessing."""

KEPT_FOR_RUNS = "of runs that stay"
KEPT_FOR_MODELS = "of published and blessed models"
KEPT_FOR_DRIFT = "for the drift check"
KEPT_FOR_SPANS = "of spans in range"


@dataclass(frozen=True)
class Retention:
    """What stays of a pipeline.

    Attributes
    ----------
    deleted
        Runs to delete, oldest first, those among them that were deleted before.
    kept
        Runs that stay, oldest first.
    artifacts
        The artifacts whose files stay, each with the reason.
    manifests
        The examples of which the manifest alone stays: it says which data an artifact that stays came from.
    """

    deleted: tuple[RecordedRun, ...]
    kept: tuple[RecordedRun, ...]
    artifacts: dict[int, str]
    manifests: frozenset[int]


def choose(graph: RunGraph, *, keep_runs: int, older_than: timedelta | None, now: datetime) -> Retention:
    """Choose what stays.

    Parameters
    ----------
    graph
        The pipeline.
    keep_runs
        How many of the newest runs stay, at least 1.
    older_than
        Runs stay that are no older; None for no such limit.
    now
        When that is.
    """
    newest = [run for run in graph.runs if not run.deleted][-keep_runs:]
    young = [run for run in graph.runs if older_than is not None and not run.deleted and now - run.began <= older_than]
    kept = tuple(run for run in graph.runs if run in newest or run in young)
    artifacts = {
        artifact: KEPT_FOR_RUNS
        for execution in graph.executions_of(kept)
        for artifact in sorted(graph.touched.get(execution, ()))
    }
    identities = _identities(graph, artifacts)
    models = {*published_models(graph).values(), *_last_blessed(graph, identities)}
    for reason, wanted in (
        (KEPT_FOR_MODELS, [*models, *_marks_of(graph, models)]),
        (KEPT_FOR_DRIFT, _next_statistics(graph, identities)),
        (KEPT_FOR_SPANS, _spans_in_range(graph)),
    ):
        for artifact in wanted:
            artifacts.setdefault(artifact, reason)
    behind = {examples for artifact in artifacts for examples in graph.examples_behind(artifact)}
    return Retention(
        deleted=tuple(run for run in graph.runs if run not in kept),
        kept=kept,
        artifacts=artifacts,
        manifests=frozenset(behind - artifacts.keys()),
    )


def published_models(graph: RunGraph) -> dict[Path, int]:
    """Return the model of each published version that this pipeline made and still has, by the version's folder.

    A version is traced by the digest of its files: a rollback publishes the files of an earlier one again, of which
    ML Metadata knows nothing.
    """
    wanted: dict[str, list[Path]] = {}
    for serving in version_folders(serving_root(Path(graph.home.work_dir))):
        for version in published_versions(serving):
            folder = serving / str(version)
            digest = read_publication(folder).get("model_digest")
            if isinstance(digest, str):
                wanted.setdefault(digest, []).append(folder)
    found: dict[Path, int] = {}
    for model in reversed(graph.of_kind(MODEL_TYPE)):
        if not wanted:
            break
        if graph.is_whole(model):
            for folder in wanted.pop(model_digest(graph.folder(model) / SAVED_MODEL), []):
                found[folder] = model
    return found


def _identities(graph: RunGraph, kept: Iterable[int]) -> list[DataIdentity]:
    """Return the identities of the data of runs that stay: those that a run to come is most likely of."""
    identities: list[DataIdentity] = []
    for artifact in kept:
        if graph.kinds[artifact] == EXAMPLES_TYPE:
            found = graph.identity(artifact)
            if found is not None and found not in identities:
                identities.append(found)
    return identities


def _last_blessed(graph: RunGraph, identities: Iterable[DataIdentity]) -> set[int]:
    """Return the newest whole blessed model of each identity, which the next run is compared with."""
    blessed = list(_blessed_models(graph))
    return set(_newest_of_each(graph, blessed, identities, 1))


def _blessed_models(graph: RunGraph) -> Iterator[int]:
    for blessing in graph.of_kind(BLESSING_TYPE):
        if _number(graph.artifacts[blessing], "blessed") == 1:
            model = _number(graph.artifacts[blessing], _BLESSED_MODEL)
            if model is not None and graph.kinds.get(model) == MODEL_TYPE:
                yield model


def _number(artifact: metadata_store_pb2.Artifact, name: str) -> int | None:
    """Return a custom property's number; asked for by its key alone, a missing one would be added."""
    return artifact.custom_properties[name].int_value if name in artifact.custom_properties else None


def _marks_of(graph: RunGraph, models: set[int]) -> Iterator[int]:
    """Yield the blessings and publications of models: without a blessing, none is a baseline."""
    for blessing in graph.of_kind(BLESSING_TYPE):
        if _number(graph.artifacts[blessing], _BLESSED_MODEL) in models:
            yield blessing
    for pushed in graph.of_kind(PUSHED_TYPE):
        if not models.isdisjoint(graph.inputs_of(pushed)):
            yield pushed


def _next_statistics(graph: RunGraph, identities: Iterable[DataIdentity]) -> set[int]:
    """Return the statistics that the drift check of the next run may use: the newest that the data gate let pass."""
    passed = {
        artifact
        for verdict in graph.of_kind(VERDICT_TYPE)
        for artifact in graph.inputs_of(verdict)
        if graph.kinds[artifact] == STATISTICS_TYPE
    }
    # Those of a range are read by the run after it; a run that was refused before may stand in between.
    of_ranges = [
        artifact
        for artifact in graph.of_kind(STATISTICS_TYPE)
        if graph.nodes.get(graph.makers.get(artifact, 0)) == RANGE_STATISTICS and graph.is_whole(artifact)
    ]
    return {*_newest_of_each(graph, passed, identities, _STATISTICS_KEPT), *of_ranges[-_STATISTICS_KEPT:]}


def _newest_of_each(
    graph: RunGraph, artifacts: Iterable[int], identities: Iterable[DataIdentity], count: int
) -> Iterator[int]:
    """Yield for each identity its newest whole artifacts, from among those that may be held against it."""
    listed = list(identities)
    wanted = dict.fromkeys(range(len(listed)), count)
    for artifact in sorted(set(artifacts), reverse=True):
        if not any(wanted.values()):
            return
        own = graph.identity(artifact) if graph.is_whole(artifact) else None
        if own is None:
            continue
        for place, left in wanted.items():
            if left and listed[place].why_other(own) is None:
                wanted[place] = left - 1
                yield artifact


def _spans_in_range(graph: RunGraph) -> Iterator[int]:
    """Yield the newest examples of each of the newest accepted spans, as many as the widest training so far read.

    A refused span is in nobody's range. The settings of a run to come are not known; its range is as wide as before, or
    a run that stays has read it.
    """
    widest = max(
        (sum(graph.kinds[artifact] == EXAMPLES_TYPE for _, artifact in read) for read in graph.read.values()), default=0
    )
    newest: dict[int, int] = {}
    for examples in sorted(graph.accepted_examples()):
        span = _number(graph.artifacts[examples], SPAN_PROPERTY)
        if span is not None and graph.is_whole(examples):
            newest[span] = examples
    for span in sorted(newest, reverse=True)[:widest]:
        yield newest[span]
