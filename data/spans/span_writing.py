"""One span's folder, from what it holds of each block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.example_folder import WORK_FOLDER, WrittenExamples, write_examples
from data.examples.last_histories import LastHistories
from data.examples.manifest import Manifest
from data.examples.shards import file_sha256
from data.examples.span_facts import EVENTS_FILE, TIMELINES_FILE, SpanFacts
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue
from data.span_settings import Stretch
from data.spans.blocks import SpanPiece
from data.spans.events import write_rows
from data.timelines.periods import TimeRange
from data.timelines.timelines import PART_DTYPE, RATING_DTYPE
from data.timelines.user_blocks import PARTS_SUFFIX, SECONDS_A_DAY, OrderedBlocks, UserBlock
from data.timelines.value_tally import ValueTally


@dataclass(frozen=True)
class SpanTotals:
    """The events that arrived with a span, counted.

    Attributes
    ----------
    time_range
        From the first to the last; None without any.
    days
        How many are of which day, in days since 1970.
    movies
        int32 `[n]`: the distinct codes of their movies.
    """

    events: int
    users: int
    time_range: TimeRange | None
    max_stars: float
    days: ValueTally
    movies: NDArray[np.int32]

    @classmethod
    def of(cls, pieces: Sequence[SpanPiece]) -> SpanTotals:
        """Count the events of a span's pieces."""
        totals = [cls._of_piece(piece) for piece in pieces]
        ranges = [part.time_range for part in totals if part.time_range is not None]
        return cls(
            events=sum(part.events for part in totals),
            users=sum(part.users for part in totals),
            time_range=TimeRange(min(part.first for part in ranges), max(part.last for part in ranges))
            if ranges
            else None,
            max_stars=max((part.max_stars for part in totals), default=0.0),
            days=reduce(ValueTally.merge, (part.days for part in totals), ValueTally.nothing()),
            movies=reduce(np.union1d, (part.movies for part in totals), np.empty(0, dtype=np.int32)),
        )

    @classmethod
    def _of_piece(cls, piece: SpanPiece) -> SpanTotals:
        events = piece.read_events()
        return cls(
            events=len(events),
            users=len(np.unique(events["user"])),
            time_range=TimeRange(int(events["time"].min()), int(events["time"].max())) if len(events) else None,
            max_stars=float(events["stars"].max(initial=0)),
            days=ValueTally.of(events["time"] // SECONDS_A_DAY),
            movies=np.unique(events["movie"]),
        )


@dataclass(frozen=True)
class SpanOrigin:
    """Where a span comes from: what its manifest says beside what is counted. Attributes are those of `SpanFacts`.

    Attributes
    ----------
    source_digest
        Of the content of the file.
    max_rating
        The highest rating of the spans before; None for a release, or without any.
    former
        The manifest of the span that is written anew without a user: which examples train stays as it was.
    """

    number: int
    by: Stretch | None
    source_digest: str
    seen: int
    late: int
    previous_sha256: str | None
    series: str
    max_rating: float | None
    unlisted: int = 0
    former: SpanFacts | None = None

    @classmethod
    def behind(
        cls,
        previous: Manifest | None,
        source_digest: str,
        *,
        by: Stretch | None,
        seen: int = 0,
        late: int = 0,
        unlisted: int = 0,
    ) -> SpanOrigin:
        """Return the origin of the span that follows another one, or of the first."""
        before = previous.span if previous is not None else None
        return cls(
            number=before.number + 1 if before is not None else 1,
            by=by,
            source_digest=source_digest,
            seen=seen,
            late=late,
            previous_sha256=previous.digest if previous is not None else None,
            series=before.series if before is not None else source_digest,
            max_rating=previous.max_rating if previous is not None else None,
            unlisted=unlisted,
        )

    @classmethod
    def again(cls, manifest: Manifest, facts: SpanFacts, previous: Manifest | None) -> SpanOrigin:
        """Return the origin of a revision of a span, given its manifest and that of the span before."""
        return cls(
            number=facts.number,
            by=facts.by,
            source_digest=manifest.source_digest,
            seen=facts.seen,
            late=facts.late,
            # The span before may have been removed.
            previous_sha256=previous.digest if previous is not None else facts.previous_sha256,
            series=facts.series,
            max_rating=manifest.max_rating,
            unlisted=facts.unlisted,
            former=facts,
        )


def write_span_folder(
    options: GenerateOptions,
    origin: SpanOrigin,
    pieces: Sequence[SpanPiece],
    totals: SpanTotals,
    full: Catalogue,
    catalogue: Catalogue,
    folder: Path,
    *,
    histories: Callable[[Path], LastHistories] | None = None,
    beam_args: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> WrittenExamples:
    """Fill an empty folder with a span.

    Parameters
    ----------
    options
        What the examples are.
    origin
        Where they come from.
    pieces, totals
        What the span holds of each block, and its events counted.
    full
        The catalogue whose codes the pieces hold.
    catalogue
        The span's own, with the train labels of earlier spans.
    folder
        Takes the files.
    histories
        Writes the last histories of the span's users to the folder; None where none are wanted.
    beam_args, progress
        As for `data.generate.generate`.

    Returns
    -------
    WrittenExamples
        Their manifest is saved, and says which span they are.

    Raises
    ------
    InputError
        Nothing is left for a split of a span that is new, or the job on Beam failed.
    """
    former = origin.former
    time_range = totals.time_range
    if time_range is None:
        # All users of a revision may be gone.
        time_range = TimeRange(former.first_time, former.last_time) if former is not None else TimeRange(0, 0)
    ordered = OrderedBlocks(
        blocks=_write_blocks(pieces, full, catalogue, folder / WORK_FOLDER),
        num_ratings=totals.events,
        num_users=totals.users,
        time_range=time_range,
        max_stars=max(totals.max_stars, origin.max_rating or 0.0),
        repeated=None,
        days=totals.days,
        lengths=reduce(ValueTally.merge, (piece.lengths for piece in pieces), ValueTally.nothing()),
    )
    written = write_examples(
        options,
        ordered,
        catalogue,
        folder,
        source_digest=origin.source_digest,
        rated_movies=len(totals.movies),
        beam_args=beam_args,
        progress=progress,
        cut=former.cut if former is not None else None,
        may_be_empty=former is not None,
    )
    write_rows(folder / EVENTS_FILE, (piece.read_events() for piece in pieces), RATING_DTYPE, full)
    write_rows(folder / TIMELINES_FILE, (piece.read_timelines() for piece in pieces), PART_DTYPE, full)
    facts = SpanFacts(
        number=origin.number,
        by=origin.by,
        first_time=time_range.first,
        last_time=time_range.last,
        events=totals.events,
        seen=origin.seen,
        late=origin.late,
        previous_sha256=origin.previous_sha256,
        series=origin.series,
        cut=written.cut,
        events_sha256=file_sha256(folder / EVENTS_FILE),
        timelines_sha256=file_sha256(folder / TIMELINES_FILE),
        unlisted=origin.unlisted,
        revision=former.revision + 1 if former is not None else 0,
    )
    last = histories(folder) if histories is not None else None
    manifest = written.manifest.model_copy(update={"span": facts, "last_histories": last})
    manifest.save(folder)
    return replace(written, manifest=manifest)


def _write_blocks(
    pieces: Sequence[SpanPiece], full: Catalogue, catalogue: Catalogue, work: Path
) -> tuple[UserBlock, ...]:
    """Write the parts of timelines as blocks, one at least, their movies in the span's own codes."""
    work.mkdir()
    codes = np.concatenate([[0], catalogue.codes_of(full.ids)])
    blocks = []
    for place, piece in enumerate(piece for piece in pieces if piece.labels):
        rows = piece.read_timelines()
        rows["movie"] = codes[rows["movie"]]
        blocks.append(_write_block(work, place, rows))
    return tuple(blocks) or (_write_block(work, 0, np.empty(0, dtype=PART_DTYPE)),)


def _write_block(work: Path, place: int, rows: NDArray[np.void]) -> UserBlock:
    path = work / f"users-{place:05d}{PARTS_SUFFIX}"
    path.write_bytes(rows.tobytes())
    return UserBlock(str(path))
