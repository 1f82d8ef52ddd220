"""Settings of the answers to every user."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BatchAnswersSettings(BaseModel):
    """Whether a run ends with answers to every user, and what they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    """Whether a step `BatchRecommender` stands behind the Pusher."""

    top_k: int = Field(default=10, ge=1, le=100)
    """Movies in an answer; fewer where fewer are left."""

    history_length: int = Field(default=100, ge=1, le=10_000)
    """How many of a user's last movies the model is asked with. It reads as many of them as an example holds, and
    offers none of all these. One that reads histories is asked with all, whatever stands here."""

    titles: bool = False
    """Whether each movie's title stands beside its id."""
