"""Spans written: a first file cut by the time of its events, and files that arrive."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.atomic_folder import exclusive, staged, staged_together
from data.beam_options import check_job_server
from data.errors import InputError
from data.example_folder import WrittenExamples
from data.examples.last_histories import LastHistories, write_last_histories
from data.examples.manifest import Manifest
from data.examples.span_facts import EVENTS_FILE
from data.full_disk import disk_faults
from data.movie_ids import id_array
from data.opening import open_reader
from data.options import GenerateOptions
from data.reader import Reader
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.span_settings import SpanSettings, Stretch
from data.spans.blocks import NEVER, Arrived, SpanOf, SpanPiece, cut_blocks, own_blocks
from data.spans.events import EVENT_DTYPE, of_users, read_rows
from data.spans.series import REMEDY, WORK_FOLDER, check_spans_alone, list_spans, load_span, row_groups, span_folder
from data.spans.span_writing import SpanOrigin, SpanTotals, write_span_folder
from data.spans.stretches import join_stretches, stretch_of_day, stretches_of
from data.splits import spelt
from data.timelines import user_blocks
from data.timelines.periods import TimeRange
from data.timelines.timelines import RATING_DTYPE
from data.timelines.user_blocks import UserBlock

_DEFAULTS = SpanSettings()
NOT_DECIDING = ("shards", "words")
"""Options that may differ between the spans of a series."""

_BYTES_AN_EVENT = 25
"""Of an event as text, by which blocks are measured."""


def write_span(
    options: GenerateOptions,
    series: Path,
    number: int,
    *,
    source: Path | None = None,
    interactions: str | None = None,
    items: str | None = None,
    cache_dir: Path | None = None,
    max_seen_share: float = _DEFAULTS.max_seen_share,
    max_unknown_share: float = _DEFAULTS.max_unknown_share,
    last_histories: int | None = None,
    beam_args: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write what arrived as the next span of a series, unless it is there already.

    Parameters
    ----------
    options
        What the examples are: the same as of the earlier spans.
    series
        The folder of spans.
    number
        The span: 1, or one more than the last.
    source, interactions, items, cache_dir, beam_args, progress
        As for `data.generate.generate`.
    max_seen_share, max_unknown_share
        See `SpanSettings`.
    last_histories
        Movies of a history at most, of which the span's users get one each; None for no such file.

    Returns
    -------
    Manifest
        Of the span.

    Raises
    ------
    InputError
        The span is there with other content, is not the next one, or what arrived can't be used.
    """
    check_job_server(beam_args)
    with ExitStack() as stack:
        series = stack.enter_context(opened(series, progress))
        numbers = list_spans(series)
        last = load_span(span_folder(series, numbers[-1]))[0] if numbers else None
        reader = _open(options, last, series, source, interactions, items, cache_dir, last_histories, progress, stack)
        digest = reader.digest()
        if number in numbers:
            folder = span_folder(series, number)
            _check_same(folder, digest, None)
            _check_histories(folder, last_histories)
            progress(f"{folder} is up to date")
            return load_span(folder)[0]
        following = numbers[-1] + 1 if numbers else 1
        if number != following:
            raise InputError(f"span {number} is not the next one of {series}: that is span {following}", code="N02")
        work = stack.enter_context(work_folder(series))
        before = Catalogue.load(span_folder(series, numbers[-1]) / CATALOGUE_FILE) if numbers else None
        arrived, full, unlisted = _read(
            options, reader, work, series, numbers, before, lambda times: np.full(len(times), number), progress
        )
        _check_arrived(reader.label, arrived, options, numbers, max_seen_share, max_unknown_share)
        if last is not None and full.pad != last.pad_movie_id:
            raise InputError(
                f"{reader.label}: {last.pad_movie_id!r} stands for no {options.wording.one} in {series} and can't be "
                "the id of one: begin a series in another folder with all that has arrived",
                code="N06",
            )
        pieces = cut_blocks(
            arrived.blocks,
            lambda spans: spans,
            number,
            options.max_context_length,
            histories=last_histories is not None,
        )
        totals = SpanTotals.of(pieces.get(number, []))
        lacking = int(np.isin(totals.movies, unlisted).sum())
        origin = SpanOrigin.behind(last, digest, by=None, seen=arrived.seen, late=arrived.late, unlisted=lacking)
        with staged(span_folder(series, number)) as folder:
            known = full if before is None else full.behind(before)
            own = pieces.get(number, [])
            histories = _histories_of(own, full, last_histories, reader)
            return _write(options, origin, own, full, known, folder, histories, beam_args, progress).manifest


def write_spans(
    options: GenerateOptions,
    series: Path,
    *,
    by: Stretch,
    first_through: date | None = None,
    min_labels: int = _DEFAULTS.min_labels,
    source: Path | None = None,
    interactions: str | None = None,
    items: str | None = None,
    cache_dir: Path | None = None,
    last_histories: int | None = None,
    beam_args: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> list[Manifest]:
    """Cut a first file into spans by the time of its events, unless they are there already.

    Parameters
    ----------
    options
        What the examples are.
    series
        The folder of spans: empty, or with spans of the same file. Where a killed run wrote the first ones, the others
        follow.
    by, first_through, min_labels
        See `SpanSettings`.
    source, interactions, items, cache_dir, last_histories, beam_args, progress
        As for `write_span`.

    Returns
    -------
    list[Manifest]
        Of those of the file's spans that the series holds now, in their order.

    Raises
    ------
    InputError
        The series holds other spans, or the file can't be used.
    """
    check_job_server(beam_args)
    with ExitStack() as stack:
        series = stack.enter_context(opened(series, progress))
        present = list_spans(series)
        last = load_span(span_folder(series, present[-1]))[0] if present else None
        reader = _open(options, last, series, source, interactions, items, cache_dir, last_histories, progress, stack)
        digest = reader.digest()
        for number in present:
            if load_span(span_folder(series, number))[1].by is not None:
                _check_same(span_folder(series, number), digest, by)
        work = stack.enter_context(work_folder(series))
        floor = np.iinfo(np.int32).min if first_through is None else stretch_of_day(first_through, by)
        arrived, full, unlisted = _read(
            options, reader, work, series, [], None, lambda times: np.maximum(stretches_of(times, by), floor), progress
        )
        firsts = join_stretches(arrived.labels, min_labels)

        def span_of(stretches: NDArray[np.integer]) -> NDArray[np.integer]:
            return np.maximum(np.searchsorted(firsts, stretches, side="right"), 1)

        pieces = cut_blocks(
            arrived.blocks, span_of, 1, options.max_context_length, histories=last_histories is not None
        )
        totals = {number: SpanTotals.of(pieces[number]) for number in sorted(pieces)}
        for number in present:
            _check_as_cut(span_folder(series, number), totals.get(number))
            _check_histories(span_folder(series, number), last_histories)
        missing = [number for number in totals if number > max(present, default=0)]
        if not missing:
            progress(f"{series} is up to date")
        first_of = np.where(arrived.first_spans == NEVER, NEVER, span_of(arrived.first_spans))
        previous = last
        before = Catalogue.load(span_folder(series, present[-1]) / CATALOGUE_FILE) if present else None
        with staged_together([span_folder(series, number) for number in missing]) as folders:
            for number, folder in zip(missing, folders, strict=True):
                known = _with_pad_of(full, first_of <= number)
                if before is not None:
                    known = known.behind(before)
                lacking = int(np.isin(totals[number].movies, unlisted).sum())
                origin = SpanOrigin.behind(previous, digest, by=by, unlisted=lacking)
                histories = _histories_of(pieces[number], full, last_histories, reader)
                written = _write(options, origin, pieces[number], full, known, folder, histories, beam_args, progress)
                previous, before = written.manifest, written.catalogue
        return [load_span(span_folder(series, number))[0] for number in list_spans(series) if number in totals]


def _open(
    options: GenerateOptions,
    last: Manifest | None,
    series: Path,
    source: Path | None,
    interactions: str | None,
    items: str | None,
    cache_dir: Path | None,
    last_histories: int | None,
    progress: Callable[[str], None],
    stack: ExitStack,
) -> Reader:
    """Open what is to be read, as the last span was: options alike, ids of the same kind."""
    _check_can_be_spans(options)
    if last is not None:
        _check_alike(options, last, series)
        if options.release is None:
            kind = "text" if isinstance(last.pad_movie_id, str) else "integer"
            options = options.model_copy(update={"item_ids": kind})
    reader = open_reader(
        options, source, interactions, items, cache_dir, progress, stack, keep_users=last_histories is not None
    )
    reader.check_beginning()
    return reader


def _check_can_be_spans(options: GenerateOptions) -> None:
    """Refuse options that need all ratings at once."""
    refused = [name for name in ("min_movie_ratings", "timelines") if getattr(options, name)]
    refused += [f"the split {spelt(options.split)}"] if options.strategy.known_only else []
    if refused:
        raise InputError(f"{refused[0]} is not for spans: it needs all ratings at once; leave it out", code="N10")


def _check_alike(options: GenerateOptions, last: Manifest, series: Path) -> None:
    for name in GenerateOptions.model_fields:
        was, wanted = getattr(last.options, name), getattr(options, name)
        if was != wanted and name not in NOT_DECIDING:
            raise InputError(
                f"the spans in {series} have {name} = {was}, and not {wanted}: all spans of a series are alike; give "
                "the same, or another folder",
                code="N04",
            )


def _check_same(folder: Path, digest: str, by: Stretch | None) -> None:
    """Refuse to write a span anew, unless it holds what is to be written and is whole."""
    manifest, facts = load_span(folder)
    if (manifest.source_digest, facts.by) != (digest, by):
        raise _other_content(folder)
    try:
        manifest.verify(folder)
    except InputError as error:
        raise InputError(f"{error.message.partition(';')[0]}; {REMEDY}", code="N07") from error


def _check_histories(folder: Path, wanted: int | None) -> None:
    """Refuse a span that is there without the last histories that are wanted: spans are written once."""
    if wanted is not None and load_span(folder)[0].last_histories is None:
        raise InputError(
            f"{folder} holds no last histories, and a span is written once: leave out --last-histories, or write the "
            "spans again in a new folder",
            code="G16",
        )


def _check_as_cut(folder: Path, totals: SpanTotals | None) -> None:
    """Refuse a cut that is another one than a span that is there comes from."""
    _, facts = load_span(folder)
    if (facts.by is None) is not (totals is None):
        raise _other_content(folder)
    if totals is None or facts.revision:
        return
    if (facts.events, TimeRange(facts.first_time, facts.last_time)) != (totals.events, totals.time_range):
        raise _other_content(folder)


def _other_content(folder: Path) -> InputError:
    return InputError(
        f"{folder} holds other content: a span is never written anew; give what is new the next number, or begin a "
        "series in another folder",
        code="N01",
    )


def _check_arrived(
    label: str,
    arrived: Arrived,
    options: GenerateOptions,
    numbers: Sequence[int],
    max_seen_share: float,
    max_unknown_share: float,
) -> None:
    """Refuse a file with too little that is new, or too much that nobody knows."""
    new = arrived.events - arrived.seen
    if not new or arrived.seen > max_seen_share * arrived.events:
        raise InputError(
            f"{label}: {arrived.seen:,} of {arrived.events:,} events are in earlier spans already, more than "
            f"max_seen_share = {max_seen_share:g} of them or all: give what is new",
            code="N03",
        )
    if numbers and arrived.unknown > max_unknown_share * new:
        raise InputError(
            f"{label}: {arrived.unknown:,} of {new:,} events are of {options.wording.many} that no earlier span knows, "
            f"more than max_unknown_share = {max_unknown_share:g} of them: are their ids of other data?",
            code="N05",
        )


def _read(
    options: GenerateOptions,
    reader: Reader,
    work: Path,
    series: Path,
    numbers: Sequence[int],
    before: Catalogue | None,
    span_of: SpanOf,
    progress: Callable[[str], None],
) -> tuple[Arrived, Catalogue, NDArray[np.int64]]:
    """Read what arrived, and order it behind the events of earlier spans.

    Parameters
    ----------
    numbers
        The earlier spans, ascending.
    before
        The catalogue of the last of them.
    span_of
        Returns the spans of what arrived by times.

    Returns
    -------
    tuple
        What arrived, the catalogue of all movies that it and the spans before know, and the codes of those that the
        list which arrived lacks; none where there is no list.
    """
    progress(f"reading {reader.label}")
    manifests = [load_span(span_folder(series, number))[0] for number in numbers]
    size = reader.text_size + _BYTES_AN_EVENT * sum(manifest.counts.ratings for manifest in manifests)
    num_blocks = max(1, math.ceil(size / user_blocks.BYTES_PER_BLOCK))
    (work / "arrived").mkdir()
    users = np.empty(0, dtype=np.uint64)

    def with_users_noted() -> Iterator[NDArray[np.void]]:
        nonlocal users
        for part in reader.ratings():
            users = np.union1d(users, part["user"])
            yield part

    files, rated = user_blocks.spill_ratings(with_users_noted(), work / "arrived", num_blocks)
    full = reader.catalogue(rated)
    codes_of = reader.codes_of
    unlisted = full.ids[full.are_stand_ins(options.wording.one)] if reader.num_unlisted else full.ids[:0]
    newest = -1
    is_known = np.zeros(len(full), dtype=bool)
    if before is not None:
        full = full.with_movies_of(before, options.wording.one)
        is_known = before.indices_of(full.ids) >= 0
        newest = max(manifest.span.last_time for manifest in manifests if manifest.span is not None)
        _spill_earlier(series, numbers, users, full, work / "earlier", num_blocks)
    elif reader.num_unlisted:
        progress(f"note: {reader.num_unlisted} rated {options.wording.many} are not listed; they have no titles")
    arrived = own_blocks(files, work / "earlier", options, codes_of(full), span_of, is_known, newest)
    if arrived.repeated is not None and options.duplicates is None:
        reader.report_repeat(arrived.repeated, progress)
    return arrived, full, full.codes_of(unlisted)


def _spill_earlier(
    series: Path, numbers: Sequence[int], users: NDArray[np.uint64], catalogue: Catalogue, folder: Path, num_blocks: int
) -> None:
    """Write some users' events of spans into files of blocks, as `data.timelines.user_blocks.spill_ratings` does.

    Parameters
    ----------
    series, numbers
        The spans, ascending.
    users
        Ascending.
    catalogue
        Holds all movies of these events.
    folder
        A new folder for the files.
    num_blocks
        As for the files that they are paired with.
    """
    folder.mkdir()
    user_blocks.spill_ratings(_events_of(series, numbers, users, catalogue), folder, num_blocks)


def _events_of(
    series: Path, numbers: Sequence[int], users: NDArray[np.uint64], catalogue: Catalogue
) -> Iterator[NDArray[np.void]]:
    for number in numbers:
        for table in row_groups(span_folder(series, number), EVENTS_FILE):
            read = read_rows(of_users(table, users), RATING_DTYPE, catalogue)
            events = np.empty(len(read), dtype=EVENT_DTYPE)
            events[list(RATING_DTYPE.names or ())] = read
            events["span"] = number
            yield events


def _write(
    options: GenerateOptions,
    origin: SpanOrigin,
    pieces: Sequence[SpanPiece],
    full: Catalogue,
    catalogue: Catalogue,
    folder: Path,
    histories: Callable[[Path], LastHistories] | None,
    beam_args: Sequence[str],
    progress: Callable[[str], None],
) -> WrittenExamples:
    """Fill a span's folder, and say so."""
    totals = SpanTotals.of(pieces)
    try:
        written = write_span_folder(
            options,
            origin,
            pieces,
            totals,
            full,
            catalogue,
            folder,
            histories=histories,
            beam_args=beam_args,
            progress=progress,
        )
    except InputError as error:
        raise InputError(f"span {origin.number}: {error.message}", code=error.code) from error
    counts = written.manifest.counts
    progress(
        f"span {origin.number}: {totals.events:,} events, {counts.train:,} train and {counts.eval:,} eval examples"
    )
    return written


def _histories_of(
    pieces: Sequence[SpanPiece], full: Catalogue, length: int | None, reader: Reader
) -> Callable[[Path], LastHistories] | None:
    """Return what writes the last histories of a span's users; None where none are wanted."""
    if length is None:
        return None
    blocks = [UserBlock(str(piece.histories)) for piece in pieces if piece.histories is not None]
    return lambda folder: write_last_histories(folder, blocks, full, length, reader.users_of)


def _with_pad_of(full: Catalogue, is_known: NDArray[np.bool_]) -> Catalogue:
    """Return the known movies of a catalogue, and those whose ids would else be taken for the pad."""
    known = full.only(is_known)
    while known.pad != full.pad:
        is_known = is_known | (full.ids == id_array([known.pad], text=full.has_texts)[0])
        known = full.only(is_known)
    return known


@contextmanager
def opened(series: Path, progress: Callable[[str], None]) -> Iterator[Path]:
    """Hold a series' folder, which is made if need be, alone; put back what a killed run left.

    Yields
    ------
    Path
        The folder, in full.

    Raises
    ------
    InputError
        It can't be written, or holds anything but spans.
    """
    series = series.resolve()
    with exclusive(series, progress), disk_faults(series):
        if series.exists() and not series.is_dir():
            raise InputError(f"{series} is not a folder; choose another output", code="F05")
        series.mkdir(exist_ok=True)
        check_spans_alone(series)
        yield series


@contextmanager
def work_folder(series: Path) -> Iterator[Path]:
    """Yield an empty folder for what is needed until a span is written, and remove it."""
    work = series / WORK_FOLDER
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
