"""Which span of a series is learned from next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from data.errors import InputError
from data.examples.manifest import Manifest
from data.spans.series import list_spans, next_span, span_folder


class Outcome(Protocol):
    """How the run of a span ended."""

    @property
    def outcome(self) -> str:
        """`published` where its model is."""

    @property
    def manifest_digest(self) -> str:
        """Of the span's data."""


def choose_span(
    series: Path, outcomes: Mapping[int, Outcome], number: int | None, note: Callable[[str], None]
) -> int | None:
    """Return the span to learn from; None where there is nothing to do.

    Parameters
    ----------
    series
        The folder of spans.
    outcomes
        Of the spans that were decided about, by their numbers.
    number
        The span that is asked for; None for the first behind all that were decided about.
    note
        Called with a line that says why there is nothing to do.

    Raises
    ------
    InputError
        There is no such span, or a later one has been decided about.
    """
    spans = list_spans(series)
    newest = f"span {spans[-1]} is the newest" if spans else "there are no spans yet"
    chosen = number if number is not None else next_span(series, outcomes)
    if chosen is None:
        note(f"nothing to do: {newest}")
        return None
    if chosen not in spans:
        raise InputError(f"{series} holds no span {chosen}: {newest}", code="A12")
    before = outcomes.get(chosen)
    digest = Manifest.load(span_folder(series, chosen)).digest
    if before is not None and before.outcome == "published" and before.manifest_digest == digest:
        note(f"nothing to do: span {chosen} was learned from and its model published")
        return None
    if chosen < max(outcomes, default=0):
        raise InputError(
            f"span {chosen} can't be learned from any more, since span {max(outcomes)} has been decided about: "
            "spans are taken in their order",
            code="A13",
        )
    return chosen


def check_histories(series: Path, in_range: Iterable[int]) -> None:
    """Raise `InputError` on a range of spans whose users can't all be answered, before anything is trained."""
    for span in in_range:
        folder = span_folder(series, span)
        # A span that was learned from may have been removed since: on this machine its examples are copies.
        if folder.is_dir() and Manifest.load(folder).last_histories is None:
            raise InputError(
                f"{folder} holds no last histories, which batch_answers needs: switch it off until span {span} is out "
                "of range, or write the spans again in a new folder",
                code="G16",
            )
