"""How an exported model was trained: what the next training needs that starts from it, and what the report shows."""

from __future__ import annotations

from collections.abc import Mapping
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
    spans
        The spans that it, or a model that it was started from, learnt from, each with the revision of the span's data.
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
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def learnt(self) -> dict[int, int]:
        """`spans` by number; of a record that lacks them all spans up to the newest, as they were first written."""
        return dict(self.spans) or dict.fromkeys(range(1, (self.span or 0) + 1), 0)

    def outdated(self, revisions: Mapping[int, int]) -> list[int]:
        """Return the spans that it learnt from in an earlier revision: these held users who are forgotten since.

        Parameters
        ----------
        revisions
            The revisions that spans have now, by number; of those that are left out nobody was forgotten.
        """
        return sorted(span for span, revision in self.learnt.items() if revision < revisions.get(span, 0))
