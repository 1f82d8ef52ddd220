"""What a manifest holds of the served requests beside train."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Skew(BaseModel):
    """How far a distribution over served requests lies from that over train windows.

    The measures are those by which TensorFlow Data Validation measures skew.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    l_infinity: float | None
    """The largest difference between two shares of one value, 0 to 1; None where either side has no values."""
    jensen_shannon: float | None
    """The Jensen-Shannon divergence in bits, 0 to 1; None where either side has no values."""
    train: dict[str, int] = {}
    """How often each value occurs in train; empty where there are too many to list."""
    served: dict[str, int] = {}
    """How often each value occurs in served requests."""


class Position(BaseModel):
    """A place in answers, from 1 on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    position: int
    shown: int
    """Answers that are so long."""
    taken: int
    """Answers of whose feedback the place's movie is part."""


class ServedFacts(BaseModel):
    """A request log, summed up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log_sha256: str
    """Of the log's content."""
    requests: int
    """Requests in the log."""
    first: float
    """Time of the earliest in seconds since 1970."""
    last: float
    """Time of the latest in seconds since 1970."""
    versions: dict[str, int]
    """Requests by the version that answered."""
    answered_feedback: int
    """Requests with feedback."""
    unmatched_feedback: int
    """Records of feedback on a request that the log doesn't hold."""
    unfinished: int
    """Lines that end in their midst, at the end of a file."""
    unknown_share: float | None
    """Movies of the histories that the catalogue lacks, as a share; None without any."""
    movies: Skew
    """Which movies stand in contexts. Each is a value of its own."""
    popularity: Skew
    """How popular, as a train label, the movies of contexts are."""
    history_lengths: Skew
    """How many movies a context holds, as many as examples hold at most."""
    positions: tuple[Position, ...]
    """The first places of answers."""
    taken_below: int
    """Taken movies further down in their answer."""
    taken_elsewhere: int
    """Taken movies that their answer didn't hold."""
