"""What a manifest says of a span: see `data.spans`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from data.span_settings import Stretch

EVENTS_FILE = "events.parquet"
"""The events that arrived with a span, those that a filter leaves out among them."""

TIMELINES_FILE = "timelines.parquet"
"""What its windows are made of: its labels, and the events before them that contexts reach back to."""


class SpanFacts(BaseModel):
    """One span of a series."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    """Its place in the series, from 1."""
    by: Stretch | None
    """What the file was cut by; None for a file that arrived as a span."""
    first_time: int
    """Time of its earliest event in seconds since 1970; the catalogue's periods begin here."""
    last_time: int
    """Time of its latest event."""
    events: int
    """Events that arrived with it, the ones dropped left out."""
    seen: int
    """Events of the file that an earlier span holds: dropped."""
    late: int
    """Events no later than the latest of all earlier spans."""
    previous_sha256: str | None
    """The digest (`Manifest.digest`) of the span before it; None for the first."""
    series: str
    """The source digest of the first span: what all spans of a series share."""
    cut: int | None
    """The largest rank of a train example; None where the split has none."""
    events_sha256: str
    """The digest of the content of `EVENTS_FILE`."""
    timelines_sha256: str
    """The digest of the content of `TIMELINES_FILE`."""
    unlisted: int = 0
    """Movies of its events that the list which arrived with them lacks, where there is one."""
    revision: int = 0
    """How often it was written anew without a user's events."""
