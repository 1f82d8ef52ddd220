"""A user taken out of what a pipeline keeps: spans, the examples of earlier runs, batch answers and last histories.

What is to be done is read each time from what is there: a span's revision counts how often somebody was forgotten of
it, and examples or models of an earlier revision held somebody who is forgotten. So nothing is written down about a
user, and after a process that was killed anywhere a second call has the rest.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.batch_answers.answers import ANSWERS_FILE, FORGOTTEN, USERS
from components.batch_answers.served_version import served_version
from components.ingestion.layout import DIGEST_PROPERTY, places_of_files
from components.naming import EXAMPLES, REVISION_TYPE, SPAN_PROPERTY
from data.atomic_folder import staged
from data.errors import InputError
from data.examples.forgetting import forget_last_history, holds_last_history
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.span_facts import SpanFacts
from data.rows_of_users import count_rows, is_unfinished, take_user_out
from data.spans.forgetting import find_user, forget_user
from data.spans.series import list_spans, revisions_of, span_folder
from pipeline.defaults import serving_root
from pipeline.error_messages import describe_failure
from pipeline.housekeeping.deletion import mark_artifacts
from pipeline.housekeeping.removal import entries, remove_all_but
from pipeline.housekeeping.run_graph import ANSWERS_TYPE, EXAMPLES_TYPE, RunGraph, read_run_graph
from pipeline.metadata_store import open_store
from serving.export_record import read_record
from serving.publication import read_publication
from serving.versions import published_versions, version_folders

_Artifact = metadata_store_pb2.Artifact
_Event = metadata_store_pb2.Event

_COPIED_CONTEXTS = ("pipeline", "pipeline_run", "node")
"""Examples that are read again belong to the run of those whose place they take, but not to its entry in the cache."""


@dataclass(frozen=True)
class Holdings:
    """What a pipeline holds of a user, and of others that were forgotten before.

    Attributes
    ----------
    series
        The folder of the pipeline's data.
    spans
        How many events of the user each span holds, by number.
    has_spans
        Whether the data are spans.
    examples
        Examples of earlier runs, of revisions that are no more.
    again
        Spans of which such examples were accepted, and which are read again.
    answers
        Artifacts of batch answers that hold the user.
    histories
        Folders of examples that are no spans, with the user's last history.
    looked_into
        How many files of batch answers and of last histories there are.
    versions
        Published versions that learned from the user.
    others
        Further ones, which learned from users that were forgotten before.
    served
        Those of all these that are served.
    """

    series: Path
    spans: dict[int, int]
    has_spans: bool
    examples: tuple[int, ...]
    again: tuple[int, ...]
    answers: tuple[int, ...]
    histories: tuple[Path, ...]
    looked_into: int
    versions: tuple[Path, ...]
    others: tuple[Path, ...]
    served: frozenset[Path]


def find_holdings(metadata: Path, user: str) -> Holdings:
    """Return what a pipeline holds of a user, and change nothing.

    Parameters
    ----------
    metadata
        The pipeline's SQLite file.
    user
        The user's id, as in the ratings or interactions.

    Raises
    ------
    InputError
        The metadata, a span or a file of answers can't be read.
    """
    graph = read_run_graph(metadata)
    work_dir = Path(graph.home.work_dir)
    series = work_dir / "data" / graph.home.pipeline
    revisions, spans = revisions_of(series), find_user(series, user)
    next_revisions = {span: revisions.get(span, 0) + 1 for span in spans}
    outdated = _outdated(graph, {**revisions, **next_revisions})
    answers = [
        found for found in graph.of_kind(ANSWERS_TYPE) if _answers(graph, found).is_file() and graph.holds(found)
    ]
    folders = [
        folder
        for folder in (series, *(graph.folder(found) for found in graph.of_kind(EXAMPLES_TYPE) if graph.holds(found)))
        if (folder / MANIFEST_FILE).is_file() and _is_no_span(folder)
    ]
    learned = _versions(work_dir, graph.home.pipeline, next_revisions)
    before = [found for found in _versions(work_dir, graph.home.pipeline, revisions) if found not in learned]
    return Holdings(
        series=series,
        spans=spans,
        has_spans=bool(list_spans(series)),
        examples=tuple(outdated),
        again=tuple(sorted({_facts(graph, old).number for old in _to_read_again(graph, outdated)})),
        answers=tuple(found for found in answers if _is_to_change(graph, found, user)),
        histories=tuple(folder for folder in folders if holds_last_history(folder, user)),
        looked_into=len(answers) + len(folders),
        versions=tuple(learned),
        others=tuple(before),
        served=frozenset(version for version in (*learned, *before) if served_version(version.parent) == version),
    )


def forget(metadata: Path, user: str, holdings: Holdings) -> None:
    """Take a user out of what a pipeline keeps.

    Parameters
    ----------
    metadata, user, holdings
        As for `find_holdings`, and what it returned.

    Raises
    ------
    InputError
        The metadata, a span or a file can't be read or written.
    OSError
        A file can't be replaced or removed.
    """
    if holdings.spans:
        forget_user(holdings.series, user)
    graph = read_run_graph(metadata)
    try:
        store = open_store(str(metadata))
        for old in _to_read_again(graph, holdings.examples):
            _read_again(store, graph, old, holdings.series)
        mark_artifacts(store, holdings.examples)
        for examples in holdings.examples:
            remove_all_but(graph.folder(examples), MANIFEST_FILE)
        for answers in holdings.answers:
            _take_out_of_answers(store, graph, answers, user)
    except (mlmd.errors.StatusError, RuntimeError) as error:
        reason = describe_failure(error, Path(graph.home.work_dir))
        raise InputError(f"{metadata} can't be updated: {reason.message}", code=reason.code) from error
    for folder in holdings.histories:
        forget_last_history(folder, user)


def _facts(graph: RunGraph, examples: int) -> SpanFacts:
    facts = Manifest.load(graph.folder(examples)).span
    assert facts is not None  # noqa: S101 - only spans have revisions
    return facts


def _is_no_span(folder: Path) -> bool:
    return Manifest.load(folder).span is None


def _outdated(graph: RunGraph, revisions: dict[int, int]) -> list[int]:
    """Return the examples whose files are of earlier revisions of spans."""
    found = []
    for examples in graph.of_kind(EXAMPLES_TYPE):
        folder, number = graph.folder(examples), _number(graph.artifacts[examples], SPAN_PROPERTY)
        if number in revisions and graph.holds(examples) and any(one.name != MANIFEST_FILE for one in entries(folder)):
            # What an ingestion that was killed left has no manifest: it is of no use, and of any revision.
            is_whole = (folder / MANIFEST_FILE).is_file()
            if not is_whole or _facts(graph, examples).revision < revisions[number]:
                found.append(examples)
    return found


def _to_read_again(graph: RunGraph, outdated: list[int] | tuple[int, ...]) -> list[int]:
    """Return, of each span whose newest accepted examples are outdated, these."""
    newest: dict[int, int] = {}
    for examples in sorted(graph.accepted_examples()):
        if examples in outdated or graph.is_whole(examples):
            newest[_number(graph.artifacts[examples], SPAN_PROPERTY)] = examples
    return [examples for span, examples in sorted(newest.items()) if span and examples in outdated]


def _read_again(store: mlmd.MetadataStore, graph: RunGraph, old: int, series: Path) -> None:
    """Read a span's present revision into new examples, which take the place of old ones.

    The artifact counts as deleted until its files are there.
    """
    begun = [examples for examples in graph.of_kind(EXAMPLES_TYPE) if old in graph.inputs_of(examples)]
    [artifact] = store.get_artifacts_by_id([begun[-1] if begun else _register(store, graph, old)])
    source, target = span_folder(series, _facts(graph, old).number), Path(artifact.uri)
    manifest = Manifest.load(source)
    manifest.verify(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with staged(target) as staging:
        for name, place in places_of_files(manifest):
            (staging / place).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, staging / place)
    artifact.custom_properties[DIGEST_PROPERTY].string_value = manifest.digest
    artifact.state = _Artifact.LIVE
    store.put_artifacts([artifact])


def _register(store: mlmd.MetadataStore, graph: RunGraph, old: int) -> int:
    """Record examples without files, made from old ones in the same run."""
    kind = store.put_execution_type(metadata_store_pb2.ExecutionType(name=REVISION_TYPE))
    execution = metadata_store_pb2.Execution(type_id=kind, last_known_state=metadata_store_pb2.Execution.COMPLETE)
    # The folder bears the execution's number, as TFX's do.
    [execution.id] = store.put_executions([execution])
    [former] = store.get_artifacts_by_id([old])
    artifact = _Artifact(type_id=former.type_id, state=_Artifact.DELETED)
    for copied, own in (
        (former.properties, artifact.properties),
        (former.custom_properties, artifact.custom_properties),
    ):
        for name, value in copied.items():
            own[name].CopyFrom(value)
    artifact.uri = str(Path(former.uri).with_name(str(execution.id)))
    contexts = [
        context for context in store.get_contexts_by_execution(graph.makers[old]) if context.type in _COPIED_CONTEXTS
    ]
    events = [(former, _event(_Event.INPUT)), (artifact, _event(_Event.OUTPUT))]
    _, [_, made], _ = store.put_execution(execution, events, contexts)
    return int(made)


def _event(kind: int) -> metadata_store_pb2.Event:
    event = _Event(type=kind)
    event.path.steps.add().key = EXAMPLES.name
    event.path.steps.add().index = 0
    return event


def _answers(graph: RunGraph, artifact: int) -> Path:
    return graph.folder(artifact) / ANSWERS_FILE


def _number(artifact: metadata_store_pb2.Artifact, name: str) -> int:
    """Return a custom property's number, 0 for a missing one."""
    return artifact.custom_properties[name].int_value if name in artifact.custom_properties else 0


def _is_to_change(graph: RunGraph, artifact: int, user: str) -> bool:
    """Return whether answers hold a user, or the artifact doesn't say yet that one was taken out."""
    path = _answers(graph, artifact)
    return (
        is_unfinished(path)
        or count_rows(path, user) > 0
        or count_rows(path) != _number(graph.artifacts[artifact], USERS)
    )


def _take_out_of_answers(store: mlmd.MetadataStore, graph: RunGraph, answers: int, user: str) -> None:
    rows = take_user_out(_answers(graph, answers), user)
    [artifact] = store.get_artifacts_by_id([answers])
    before = _number(artifact, USERS) + _number(artifact, FORGOTTEN)
    artifact.custom_properties[USERS].int_value = rows
    artifact.custom_properties[FORGOTTEN].int_value = before - rows
    store.put_artifacts([artifact])


def _versions(work_dir: Path, pipeline: str, revisions: dict[int, int]) -> list[Path]:
    """Return a pipeline's published versions that learned from spans in earlier revisions than the given ones."""
    found = []
    for serving in version_folders(serving_root(work_dir)):
        for version in published_versions(serving):
            folder = serving / str(version)
            training = read_record(folder).training
            if training is not None and read_publication(folder).get("pipeline") == pipeline:
                found += [folder] if training.outdated(revisions) else []
    return found
