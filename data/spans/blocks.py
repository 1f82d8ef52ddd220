"""Blocks of users: what arrived sorted in behind what was there, and cut into spans.

First each block's events are ordered, and every label's span is found (`own_blocks`); then, once it is known which
stretches make up a span, what each span needs of a block is written together (`cut_blocks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.options import GenerateOptions
from data.spans.events import EVENT_DTYPE
from data.spans.ownership import NO_SPAN, owners, part_of
from data.timelines.timelines import PART_DTYPE, RATING_DTYPE, Timelines, build_timelines
from data.timelines.user_blocks import available_workers, find_repeated
from data.timelines.value_tally import ValueTally

SpanOf = Callable[[NDArray[np.integer]], NDArray[np.integer]]
"""Turns an array of numbers into one of spans."""

NEVER = np.iinfo(np.int32).max
"""The span of a movie that no event is of."""

_OWNED_DTYPE = np.dtype([*EVENT_DTYPE.descr, ("owner", "<i4")])
_FIELDS = RATING_DTYPE.names or ()


@dataclass(frozen=True)
class OwnedBlock:
    """Some users: their events that arrived, by span, and their timelines with each label's span."""

    events: Path
    timelines: Path


@dataclass(frozen=True)
class Arrived:
    """What arrived, counted.

    Attributes
    ----------
    blocks
        In the order of the files.
    events
        All that were read.
    seen
        Those that an earlier span holds.
    unknown
        Of the others, those of movies that are not known.
    late
        Of the others, those no later than the latest earlier event.
    repeated
        A rating, as it was read, that occurs twice among those that arrived; None if there is none.
    labels
        How many labels each span owns.
    first_spans
        int32 `[num_movies]`: the first span of what arrived in which each movie is; `NEVER` without any.
    """

    blocks: tuple[OwnedBlock, ...]
    events: int
    seen: int
    unknown: int
    late: int
    repeated: NDArray[np.void] | None
    labels: ValueTally
    first_spans: NDArray[np.int32]


@dataclass(frozen=True)
class SpanPiece:
    """What a span holds of a block: rows of two files, and counts of the events.

    Attributes
    ----------
    labels
        How many labels.
    timelines, events
        The files, of `PART_DTYPE` and of `EVENT_DTYPE`.
    rows, event_rows
        The first row and the one behind the last.
    lengths
        How many users with a label have timelines of which length.
    histories
        A file, of `RATING_DTYPE`: the timelines, up to the span, of the users with a label; None where none is wanted,
        or there is no label.
    """

    labels: int
    timelines: Path
    rows: tuple[int, int]
    events: Path
    event_rows: tuple[int, int]
    lengths: ValueTally
    histories: Path | None = None

    def read_timelines(self) -> NDArray[np.void]:
        """Read `PART_DTYPE[n]`."""
        return _read_rows(self.timelines, PART_DTYPE, self.rows)

    def read_events(self) -> NDArray[np.void]:
        """Read `EVENT_DTYPE[n]`."""
        return _read_rows(self.events, EVENT_DTYPE, self.event_rows)


def own_blocks(
    arrived: Sequence[Path],
    earlier: Path,
    options: GenerateOptions,
    codes_of: Callable[[NDArray[np.int32]], NDArray[np.integer]],
    span_of: SpanOf,
    is_known: NDArray[np.bool_],
    newest: int,
) -> Arrived:
    """Order what arrived behind what was there, and find the span that each label belongs to.

    Parameters
    ----------
    arrived
        From `data.timelines.user_blocks.spill_ratings`; at least one.
    earlier
        The folder with files of the same names, of `EVENT_DTYPE`, for users who have earlier events.
    options
        Which events and users make timelines.
    codes_of
        Returns the codes of the movies that the arrived files hold.
    span_of
        Returns the spans of arrived events by their times.
    is_known
        bool `[num_movies]`: the movies of earlier spans, by the catalogue's rows.
    newest
        Time of the latest earlier event.

    Raises
    ------
    OSError
        Files can't be written beside the arrived ones.
    """
    own = partial(
        _own_block,
        earlier=earlier,
        options=options,
        codes_of=codes_of,
        span_of=span_of,
        is_known=is_known,
        newest=newest,
    )
    with ThreadPoolExecutor(available_workers()) as pool:
        parts = list(pool.map(own, arrived))
    return Arrived(
        blocks=tuple(block for part in parts for block in part.blocks),
        events=sum(part.events for part in parts),
        seen=sum(part.seen for part in parts),
        unknown=sum(part.unknown for part in parts),
        late=sum(part.late for part in parts),
        repeated=next((part.repeated for part in parts if part.repeated is not None), None),
        labels=reduce(ValueTally.merge, (part.labels for part in parts)),
        first_spans=reduce(np.minimum, (part.first_spans for part in parts)),
    )


def _own_block(
    path: Path,
    earlier: Path,
    options: GenerateOptions,
    codes_of: Callable[[NDArray[np.int32]], NDArray[np.integer]],
    span_of: SpanOf,
    is_known: NDArray[np.bool_],
    newest: int,
) -> Arrived:
    read = np.fromfile(path, dtype=RATING_DTYPE)
    events = np.empty(len(read), dtype=EVENT_DTYPE)
    for name in _FIELDS:
        events[name] = read[name]
    events["movie"] = codes_of(read["movie"])
    events["span"] = span_of(read["time"])
    before = np.empty(0, dtype=EVENT_DTYPE)
    if (earlier / path.name).exists():
        before = np.fromfile(earlier / path.name, dtype=EVENT_DTYPE)
    is_seen = _is_among(events, before)
    new = events[~is_seen]
    timelines = build_timelines(
        np.concatenate([before, new]),
        min_rating=options.min_rating,
        min_timeline_length=options.min_timeline_length,
        ties=options.ties,
        drop_repeats=options.duplicates == "drop",
    )
    owned = np.empty(len(timelines.ratings), dtype=_OWNED_DTYPE)
    for name in EVENT_DTYPE.names or ():
        owned[name] = timelines.ratings[name]
    owned["owner"] = owners(timelines, options.min_timeline_length)
    block = OwnedBlock(path.with_suffix(".events"), path.with_suffix(".timelines"))
    block.events.write_bytes(_by_span(new, options).tobytes())
    block.timelines.write_bytes(owned.tobytes())
    first_spans = np.full(len(is_known), NEVER, dtype=np.int32)
    np.minimum.at(first_spans, new["movie"] - 1, new["span"])
    return Arrived(
        blocks=(block,),
        events=len(events),
        seen=int(is_seen.sum()),
        unknown=int((~is_known[new["movie"] - 1]).sum()),
        late=int((new["time"] <= newest).sum()),
        repeated=find_repeated(read),
        labels=ValueTally.of(owned["owner"][owned["owner"] != NO_SPAN]),
        first_spans=first_spans,
    )


def _by_span(events: NDArray[np.void], options: GenerateOptions) -> NDArray[np.void]:
    """Return events ordered by span and user, each user's as the ties of timelines have them."""
    if options.ties == "by_movie":
        return events[np.lexsort([events[name] for name in ("stars", "movie", "time", "user", "span")])]
    return events[np.lexsort([events["user"], events["span"]])]


def _is_among(events: NDArray[np.void], before: NDArray[np.void]) -> NDArray[np.bool_]:
    """Return which events are of a user, a movie and a time that an event before has, bool `[n]`."""
    is_new = np.repeat([False, True], [len(before), len(events)])
    user, movie, time = (np.concatenate([before[name], events[name]]) for name in ("user", "movie", "time"))
    order = np.lexsort([is_new, time, movie, user])
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in (user, movie, time)])
    # Of equal ones, those from before come first.
    group = np.cumsum(is_first) - 1
    is_old = ~is_new[order[is_first]][group]
    among = np.empty(len(order), dtype=bool)
    among[order] = is_old
    return among[len(before) :]


def cut_blocks(
    blocks: Sequence[OwnedBlock], span_of: SpanOf, first: int, max_context_length: int, *, histories: bool = False
) -> dict[int, list[SpanPiece]]:
    """Return what each span holds of each block, by the span's number.

    Parameters
    ----------
    blocks
        From `own_blocks`.
    span_of
        Returns the numbers of spans for what `own_blocks` took for spans.
    first
        The first number that is asked for.
    max_context_length
        How far windows reach back.
    histories
        Whether the users' whole timelines are wanted too.

    Raises
    ------
    OSError
        Files can't be written beside the blocks'.
    """
    cut = partial(_cut_block, span_of=span_of, first=first, max_context_length=max_context_length, histories=histories)
    pieces: dict[int, list[SpanPiece]] = {}
    with ThreadPoolExecutor(available_workers()) as pool:
        for of_block in pool.map(cut, blocks):
            for number, piece in of_block.items():
                pieces.setdefault(number, []).append(piece)
    return pieces


def _cut_block(
    block: OwnedBlock, span_of: SpanOf, first: int, max_context_length: int, *, histories: bool
) -> dict[int, SpanPiece]:
    owned = np.fromfile(block.timelines, dtype=_OWNED_DTYPE)
    timelines = Timelines.of(owned)
    owner = np.where(owned["owner"] == NO_SPAN, NO_SPAN, span_of(owned["owner"]))
    arrived = span_of(np.fromfile(block.events, dtype=EVENT_DTYPE)["span"])
    numbers = np.union1d(owner[owner >= first], arrived[arrived >= first])
    path = block.timelines.with_suffix(".cut")
    pieces, start = {}, 0
    with path.open("wb") as file:
        for number in numbers.tolist():
            is_label = owner == number
            part = part_of(timelines, is_label, max_context_length)
            file.write(part.tobytes())
            ends = Timelines.of(part)
            pieces[number] = SpanPiece(
                labels=int(is_label.sum()),
                timelines=path,
                rows=(start, start + len(part)),
                events=block.events,
                event_rows=(
                    int(np.searchsorted(arrived, number)),
                    int(np.searchsorted(arrived, number, side="right")),
                ),
                lengths=ValueTally.of(ends.positions[ends.is_last] + 1),
                histories=_write_histories(block, timelines, span_of, is_label, number) if histories else None,
            )
            start += len(part)
    return pieces


def _write_histories(
    block: OwnedBlock, timelines: Timelines, span_of: SpanOf, is_label: NDArray[np.bool_], number: int
) -> Path | None:
    """Write what the users with some labels have watched up to a span."""
    if not is_label.any():
        return None
    has_label = np.zeros(timelines.user_numbers[-1] + 1, dtype=bool)
    has_label[timelines.user_numbers[is_label]] = True
    rows = timelines.ratings[has_label[timelines.user_numbers] & (span_of(timelines.ratings["span"]) <= number)]
    history = np.empty(len(rows), dtype=RATING_DTYPE)
    for name in _FIELDS:
        history[name] = rows[name]
    path = block.timelines.with_suffix(f".histories-{number}")
    path.write_bytes(history.tobytes())
    return path


def _read_rows(path: Path, dtype: np.dtype, rows: tuple[int, int]) -> NDArray[np.void]:
    start, stop = rows
    return np.fromfile(path, dtype, count=stop - start, offset=start * dtype.itemsize)
