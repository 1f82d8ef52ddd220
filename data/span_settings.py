"""How data that keep arriving are cut into spans, and what is refused."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Stretch = Literal["day", "week", "month", "year"]
"""What a first file is cut by: stretches of the calendar, in UTC; a week begins on Monday."""


class SpanSettings(BaseModel):
    """Spans of data: see `data.spans`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    by: Stretch | None = None
    """What the first file is cut by; None where every file that arrives is a span."""

    first_through: date | None = None
    """The first span reaches through the stretch that holds this day; None for a first span like the others."""

    min_labels: int = Field(default=100, ge=2)
    """A stretch with fewer labels is joined to the next, and the last one to the one before."""

    max_seen_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """The share of a file's events that may be in earlier spans already."""

    max_unknown_share: float = Field(default=0.9, ge=0.0, le=1.0)
    """The share of a file's events that may be of movies that no earlier span knows."""
