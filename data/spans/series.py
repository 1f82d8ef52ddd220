"""A folder of spans: which there are, and their events."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from data.atomic_folder import recover
from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.shards import file_sha256
from data.examples.span_facts import EVENTS_FILE, SpanFacts
from data.parquet import open_parquet

_SPAN = re.compile(r"span-([1-9][0-9]{0,8})")
_FORMER = re.compile(rf"\.({_SPAN.pattern})\.former")
_PARTIAL = re.compile(rf"\.{_SPAN.pattern}\.partial")

WORK_FOLDER = ".work"
"""In a series, while a span is written: what is needed until then."""

REMEDY = "put it back from a copy, or remove this span and all later ones, and write them again"
"""What helps where a span is damaged."""


def span_folder(series: Path, number: int) -> Path:
    """Return the folder of a span of a series."""
    return series / f"span-{number}"


def list_spans(series: Path) -> list[int]:
    """Return the numbers of the spans that a series holds, ascending; none where there is no such folder."""
    if not series.is_dir():
        return []
    named = ((_SPAN.fullmatch(path.name), path) for path in series.iterdir())
    return sorted(int(name[1]) for name, path in named if name and (path / MANIFEST_FILE).is_file())


def revisions_of(series: Path) -> dict[int, int]:
    """Return the revisions of the spans of which a user was forgotten, by their numbers.

    Raises
    ------
    InputError
        A span's manifest can't be read.
    """
    found = {number: load_span(span_folder(series, number))[1].revision for number in list_spans(series)}
    return {number: revision for number, revision in found.items() if revision}


def next_span(series: Path, ingested: Iterable[int]) -> int | None:
    """Return the first span behind all that were ingested; None if there is none."""
    newest = max(ingested, default=0)
    return next((number for number in list_spans(series) if number > newest), None)


def tidy_up(series: Path) -> None:
    """Put back, or remove, what killed runs left of the spans of a folder: events of users may be among it.

    To be called by whoever holds the folder's lock.
    """
    for path in sorted(series.iterdir()):
        former = _FORMER.fullmatch(path.name)
        if former:
            recover(series / former[1])
        elif path.name == WORK_FOLDER or _PARTIAL.match(path.name):
            shutil.rmtree(path, ignore_errors=True)


def check_spans_alone(series: Path) -> None:
    """Put back what a killed run left of the spans of a folder, and see that it holds nothing else.

    To be called by whoever holds the folder's lock.

    Raises
    ------
    InputError
        It holds something else.
    """
    tidy_up(series)
    for path in sorted(series.iterdir()):
        if not path.name.startswith(".") and not _SPAN.fullmatch(path.name):
            raise InputError(f"{series} holds {path.name}, which is no span; choose another output", code="F05")


def load_span(folder: Path) -> tuple[Manifest, SpanFacts]:
    """Read the manifest of a span's folder, and what it says of the span.

    Raises
    ------
    InputError
        It can't be read, or is of data that are no span.
    """
    manifest = Manifest.load(folder)
    if manifest.span is None:
        raise InputError(f"{folder} holds examples that are no span: choose another folder for the spans", code="N08")
    return manifest, manifest.span


def read_events(span_folder: Path) -> pa.Table:
    """Read the events that arrived with a span.

    Parameters
    ----------
    span_folder
        The span's folder.

    Returns
    -------
    pa.Table
        `user_id` uint64, `movie_id` int64 or string, `rating` float32 and `timestamp` int64, in seconds since 1970.
        Users of own data are numbers as `data.interactions.values.user_numbers` gives them.

    Raises
    ------
    InputError
        The folder holds no span, or its events are missing or damaged.
    """
    return pa.concat_tables(row_groups(span_folder, EVENTS_FILE))


def check_whole(path: Path, sha256: str) -> None:
    """Raise `InputError` if a file of a span is missing, or has another digest than it was written with."""
    try:
        is_whole = file_sha256(path) == sha256
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}; {REMEDY}", code="N07") from error
    if not is_whole:
        raise InputError(f"{path} differs from what was written; {REMEDY}", code="N07")


def row_groups(span_folder: Path, name: str) -> Iterator[pa.Table]:
    """Yield a file of a span, `EVENTS_FILE` or `TIMELINES_FILE`, in the parts that it was written in.

    Raises
    ------
    InputError
        The folder holds no span, or the file is missing or damaged.
    """
    _, facts = load_span(span_folder)
    path = span_folder / name
    check_whole(path, facts.events_sha256 if name == EVENTS_FILE else facts.timelines_sha256)
    with open_parquet(path) as file:
        yield file.schema_arrow.empty_table()
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)
