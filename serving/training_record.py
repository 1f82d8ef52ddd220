"""How an exported model was trained: what the next training needs that starts from it, and what the report shows."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from data.movie_ids import MovieId


class TrainingRecord(BaseModel):
    """How an exported model was trained, so that the next one can start from it.

    Attributes
    ----------
    model
        The settings of its towers.
    start
        Whether training started from the served model's weights or from the beginning.
    reason
        Why from the beginning; None where it didn't.
    rows_kept, rows_new
        Movies of its vocabulary that the served model knew, and the others.
    rows_vanished
        Those of `rows_kept` that the train examples no longer hold.
    rows_dropped
        Movies that the served model knew and this one doesn't.
    span
        The newest span that it learnt from; None where the examples are of no span.
    last_seen
        The movies that the train examples no longer hold, each with the newest span of the last training whose
        examples held it.
    """

    # A later version's record may say more.
    model_config = ConfigDict(extra="ignore", frozen=True)

    model: dict[str, Any]
    start: Literal["warm", "cold"]
    reason: str | None = None
    rows_kept: int = 0
    rows_new: int
    rows_vanished: int = 0
    rows_dropped: int = 0
    span: int | None = None
    last_seen: tuple[tuple[MovieId, int], ...] = ()
