"""Settings of the checks of a new span."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SpanGateSettings(BaseModel):
    """When a span is refused before anything is learned from it, held against the accepted spans before it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_volume: float = Field(default=0.15, ge=0)
    """The fewest labels of a span, as a multiple of the mean of the spans before it."""

    max_volume: float = Field(default=10.0, gt=0)
    """The most labels of a span, as a multiple of the mean of the spans before it."""

    max_lost_share: float = Field(default=0.2, ge=0, le=1)
    """The most that may go lost, as a share: of the train labels of the spans before, those of movies that the span's
    catalogue lacks. So much may also lie, above what the spans before have, the share of its movies that the list which
    arrived lacks, and those of its labels whose movies have no year, or no genres."""

    max_unknown_share: float = Field(default=0.8, ge=0, le=1)
    """The most train labels of a span, as a share, that may be of movies which are no label in the spans before it."""

    drift_tolerance: float = Field(default=20.0, ge=1)
    """How many times as far as the schema's drift comparators say a span's train split may lie from the spans before
    it: they are made for two random halves of one data set, and a span is neither random nor half."""
