"""What the audit measures, finds, and writes: plain data, which needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.finding import Finding

AUDIT_FILE = "audit.json"

PASSED = "passed"
"""Custom property of the artifact: 0 where the model must not be published, else 1."""


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitFigures(_Plain):
    """One split.

    Attributes
    ----------
    cold_label_share
        Labels that are no train label.
    repeats_in_context_share
        Contexts that hold a movie more than once.
    label_in_context_share
        Labels that stand in their own context: answers leave these movies out, so that they can't be found.
    median_wait_seconds, long_wait_seconds
        Median and 90th percentile of the time from the last input to the target. None where the manifest doesn't know.
    """

    examples: int
    cold_label_share: float
    repeats_in_context_share: float
    label_in_context_share: float
    median_wait_seconds: int | None = None
    long_wait_seconds: int | None = None


class DataFigures(_Plain):
    """Data and split; what the manifest doesn't know is None.

    Attributes
    ----------
    tied_share
        Ratings of the timelines that share user and second with another.
    repeated_share
        Ratings of a movie that the user had rated before.
    eval_in_train_share
        Eval windows whose context and label are those of a train window too.
    unknown_label_share
        Eval labels that train holds nowhere, in no context either: they can't be recommended.
    cold_user_share
        Users with an eval label, of those without a train label.
    late_label_share
        Train labels later than the same user's earliest eval label.
    overlap_seconds
        By how much the latest train label is later than the earliest eval label; 0 where it is not.
    """

    train: SplitFigures
    eval: SplitFigures
    tied_share: float | None = None
    repeated_share: float | None = None
    eval_in_train_share: float = 0.0
    unknown_label_share: float = 0.0
    cold_user_share: float | None = None
    late_label_share: float | None = None
    overlap_seconds: int | None = None


class SliceMisses(_Plain):
    """The misses among the asked queries of one slice; `counted` where it is large enough for the spread."""

    feature: str
    value: str
    queries: int
    miss_rate: float
    counted: bool


class Nearness(_Plain):
    """How near missed answers come to the label: a share, beside that of the answers that other queries got."""

    own: float
    others: float

    @property
    def times(self) -> float | None:
        """How many times nearer than other queries' answers; None where these share nothing with the label."""
        return self.own / self.others if self.others else None


class BehaviourFigures(_Plain):
    """Answers of ten movies to a sample of the eval queries; None where too few could be asked, or of too few movies.

    Attributes
    ----------
    queries
        That were asked.
    moved_by_last, moved_by_order, moved_by_drop
        Which share of an answer is another once the last movie is another, the order is reversed, or one movie is
        dropped: the mean of 1 - overlap@10.
    miss_rate
        Queries whose label is not among the ten.
    slices
        The same by slice.
    miss_rate_spread
        The slices' mean distance from `miss_rate`, without that of unseen labels.
    genres
        Of misses: the Jaccard index of the label's genres and those of the movies offered.
    co_watched
        Of misses: the share of the movies offered that stand in a train window with the label.
    answer_overlap
        The mean overlap@10 of any two queries' answers: 1 where all get the same.
    """

    queries: int
    moved_by_last: float | None = None
    moved_by_order: float | None = None
    moved_by_drop: float | None = None
    miss_rate: float | None = None
    slices: list[SliceMisses] = []
    miss_rate_spread: float | None = None
    genres: Nearness | None = None
    co_watched: Nearness | None = None
    answer_overlap: float | None = None


class AuditResult(_Plain):
    """What the audit measured and found, and what is to become of a finding."""

    mode: Literal["note", "warn", "stop"]
    data: DataFigures
    behaviour: BehaviourFigures
    findings: list[Finding] = []

    @property
    def stops(self) -> bool:
        """Whether the model must not be published."""
        return self.mode == "stop" and bool(self.findings)

    def history_figures(self) -> dict[str, float | None]:
        """Return the figures that are worth following from run to run, by name."""
        data, behaviour = self.data, self.behaviour
        return {
            "tied_share": data.tied_share,
            "cold_user_share": data.cold_user_share,
            "cold_label_share": data.eval.cold_label_share,
            "moved_by_last": behaviour.moved_by_last,
            "moved_by_order": behaviour.moved_by_order,
            "moved_by_drop": behaviour.moved_by_drop,
            "miss_rate_spread": behaviour.miss_rate_spread,
            "answer_overlap": behaviour.answer_overlap,
        }


def read_audit(folder: Path) -> AuditResult:
    """Read what the audit left in its artifact's folder."""
    return AuditResult.model_validate_json((folder / AUDIT_FILE).read_text(encoding="utf-8"))
