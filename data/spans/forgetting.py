"""A user taken out of a series of spans."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.atomic_folder import staged
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.span_facts import EVENTS_FILE, TIMELINES_FILE
from data.interactions.values import user_numbers
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.spans.blocks import SpanPiece
from data.spans.events import EVENT_DTYPE, read_rows, without_user
from data.spans.series import list_spans, load_span, row_groups, span_folder
from data.spans.span_writing import SpanOrigin, SpanTotals, write_span_folder
from data.spans.writing import opened, work_folder
from data.timelines.timelines import PART_DTYPE, RATING_DTYPE, Timelines
from data.timelines.value_tally import ValueTally


@dataclass(frozen=True)
class Forgotten:
    """What became of a user's events.

    Attributes
    ----------
    spans
        The spans that held any, and were written anew.
    events
        How many they held.
    """

    spans: tuple[int, ...]
    events: int


def forget_user(series: Path, user: str, progress: Callable[[str], None] = lambda _: None) -> Forgotten:
    """Write the spans that hold a user's events anew, without these: each is another revision of itself.

    What is left stays what it was: the same windows, in train and in eval as before. Killed in the midst, a second call
    writes the spans that are left.

    Parameters
    ----------
    series
        The folder of spans.
    user
        The user's id, as the ratings have it.
    progress
        Called with a line of text for each such span.

    Raises
    ------
    InputError
        A span is damaged, or can't be written.
    """
    number = int(user_numbers([user])[0])
    found, events = [], 0
    previous: Manifest | None = None
    with opened(series, progress) as folder:
        for span in list_spans(folder):
            place = span_folder(folder, span)
            manifest, facts = load_span(place)
            held = sum(
                table.num_rows - without_user(table, number).num_rows for table in row_groups(place, EVENTS_FILE)
            )
            if held:
                found.append(span)
                events += held
                with work_folder(folder) as work, staged(place) as staging:
                    manifest = _write_without(
                        place, manifest, number, SpanOrigin.again(manifest, facts, previous), work, staging
                    )
                progress(f"span {span}: {held:,} events taken out")
            elif previous is not None and facts.previous_sha256 != previous.digest:
                manifest = manifest.model_copy(
                    update={"span": facts.model_copy(update={"previous_sha256": previous.digest})}
                )
                _replace_manifest(manifest, place)
            previous = manifest
    return Forgotten(tuple(found), events)


def _write_without(
    place: Path, manifest: Manifest, user: int, origin: SpanOrigin, work: Path, staging: Path
) -> Manifest:
    """Fill a folder with a span as it would be without a user."""
    catalogue = Catalogue.load(place / CATALOGUE_FILE)
    pieces = list(_pieces_without(place, user, catalogue, work))
    totals = SpanTotals.of(pieces)
    return write_span_folder(manifest.options, origin, pieces, totals, catalogue, catalogue, staging).manifest


def _pieces_without(place: Path, user: int, catalogue: Catalogue, work: Path) -> Iterator[SpanPiece]:
    """Write a span's events and timelines without a user's to files, and yield where they lie."""
    empty = work / "empty"
    empty.touch()
    for count, table in enumerate(row_groups(place, EVENTS_FILE)):
        read = read_rows(without_user(table, user), RATING_DTYPE, catalogue)
        events = np.zeros(len(read), dtype=EVENT_DTYPE)
        events[list(RATING_DTYPE.names or ())] = read
        path = _written(work / f"{count}.events", events)
        yield SpanPiece(0, empty, (0, 0), path, (0, len(events)), ValueTally.nothing())
    for count, table in enumerate(row_groups(place, TIMELINES_FILE)):
        part = read_rows(without_user(table, user), PART_DTYPE, catalogue)
        path, timelines = _written(work / f"{count}.timelines", part), Timelines.of(part)
        lengths = ValueTally.of(timelines.positions[timelines.is_last] + 1)
        yield SpanPiece(int(timelines.is_label.sum()), path, (0, len(part)), empty, (0, 0), lengths)


def _written(path: Path, rows: NDArray[np.void]) -> Path:
    path.write_bytes(rows.tobytes())
    return path


def _replace_manifest(manifest: Manifest, place: Path) -> None:
    """Put a manifest into the place of a span's, in one rename."""
    with tempfile.TemporaryDirectory(prefix=".manifest-", dir=place.parent) as folder:
        manifest.save(Path(folder))
        (Path(folder) / MANIFEST_FILE).replace(place / MANIFEST_FILE)
