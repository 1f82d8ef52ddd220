"""A user taken out of a series of spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.atomic_folder import exclusive, staged
from data.examples.last_histories import LAST_HISTORIES_FILE, LastHistories
from data.examples.manifest import Manifest
from data.examples.shards import file_sha256
from data.examples.span_facts import EVENTS_FILE, TIMELINES_FILE
from data.interactions.values import user_numbers
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.rows_of_users import write_without_user
from data.spans.blocks import SpanPiece
from data.spans.events import EVENT_DTYPE, read_rows, without_user
from data.spans.series import check_whole, list_spans, load_span, row_groups, span_folder, tidy_up
from data.spans.span_writing import SpanOrigin, SpanTotals, write_span_folder
from data.spans.writing import opened, work_folder
from data.timelines.timelines import PART_DTYPE, RATING_DTYPE, Timelines
from data.timelines.value_tally import ValueTally


def forget_user(series: Path, user: str, progress: Callable[[str], None] = lambda _: None) -> dict[int, int]:
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

    Returns
    -------
    dict
        How many events of the user the spans held that were written anew, by their numbers.

    Raises
    ------
    InputError
        A span is damaged, or can't be written.
    """
    number = int(user_numbers([user])[0])
    found: dict[int, int] = {}
    previous: Manifest | None = None
    with opened(series, progress) as folder:
        for span in list_spans(folder):
            place = span_folder(folder, span)
            manifest, facts = load_span(place)
            held = _events_of(place, number)
            if held:
                found[span] = held
                with work_folder(folder) as work, staged(place) as staging:
                    manifest = _write_without(
                        place, manifest, user, SpanOrigin.again(manifest, facts, previous), work, staging
                    )
                progress(f"span {span}: {held:,} events taken out")
            elif previous is not None and facts.previous_sha256 != previous.digest:
                manifest = manifest.model_copy(
                    update={"span": facts.model_copy(update={"previous_sha256": previous.digest})}
                )
                manifest.replace(place)
            previous = manifest
    return found


def tidy_up_spans(series: Path) -> None:
    """Put back, or remove, what killed runs left of spans, so that `find_user` sees all that there is.

    Raises
    ------
    InputError
        The folder can't be written.
    """
    if series.is_dir():
        with exclusive(series, lambda _: None):
            tidy_up(series)


def find_user(series: Path, user: str) -> dict[int, int]:
    """Return how many events of a user the spans hold that hold any, by their numbers; change nothing.

    Parameters
    ----------
    series, user
        As for `forget_user`.

    Raises
    ------
    InputError
        A span is damaged.
    """
    [number] = user_numbers([user]).tolist()
    held = {span: _events_of(span_folder(series, span), number) for span in list_spans(series)}
    return {span: events for span, events in held.items() if events}


def _events_of(place: Path, number: int) -> int:
    return sum(table.num_rows - without_user(table, number).num_rows for table in row_groups(place, EVENTS_FILE))


def _write_without(
    place: Path, manifest: Manifest, user: str, origin: SpanOrigin, work: Path, staging: Path
) -> Manifest:
    """Fill a folder with a span as it would be without a user."""
    catalogue = Catalogue.load(place / CATALOGUE_FILE)
    [number] = user_numbers([user]).tolist()
    pieces = list(_pieces_without(place, number, catalogue, work))
    former = manifest.last_histories

    def histories(folder: Path) -> LastHistories:
        assert former is not None  # noqa: S101 - else it is not called
        path = folder / LAST_HISTORIES_FILE
        check_whole(place / LAST_HISTORIES_FILE, former.sha256)
        users = write_without_user(place / LAST_HISTORIES_FILE, user, path)
        return former.model_copy(update={"users": users, "sha256": file_sha256(path)})

    return write_span_folder(
        manifest.options,
        origin,
        pieces,
        SpanTotals.of(pieces),
        catalogue,
        catalogue,
        staging,
        histories=None if former is None else histories,
    ).manifest


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
