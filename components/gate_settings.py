"""Settings of the checks: of the data before training, and of the model after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from data import features

Action = Literal["stop", "warn"]


class DataGateSettings(BaseModel):
    """When a run stops before training. `warn` logs a finding, and lets the run go on."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    anomalies: Action = "stop"
    """Anomalies against the schema, in either split."""

    drift: Action = "stop"
    """Train statistics further from the previous run's than the schema's drift comparators allow."""

    unseen_labels: Action = "stop"
    """Too many eval labels that train never shows."""

    max_unseen_label_share: float = Field(default=0.25, ge=0, le=1)
    """The most eval labels, as a share, that may be unseen in train: no model can answer those."""


SLICES = (features.CONTEXT_LENGTH, features.LABEL_POPULARITY)
"""Features whose values cut the eval split. They come with the examples, the same for candidate and baseline."""


def _spelt_out(floors: Any) -> Any:
    """Return floors with slices as text, also those that YAML reads as numbers."""
    if not isinstance(floors, Mapping):
        return floors
    return {
        feature: {str(value): floor for value, floor in of_feature.items()}
        if isinstance(of_feature, Mapping)
        else of_feature
        for feature, of_feature in floors.items()
    }


def _known_slices(floors: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    for feature, of_feature in floors.items():
        if feature not in SLICES:
            raise ValueError(f"there are no slices by {feature!r}: take one of {', '.join(SLICES)}")
        for value in of_feature:
            if feature == features.LABEL_POPULARITY and value not in features.POPULARITY_BUCKETS:
                known = ", ".join(features.POPULARITY_BUCKETS)
                raise ValueError(f"{feature} has no slice {value!r}: take one of {known}")
            if feature == features.CONTEXT_LENGTH and not (value.isascii() and value.isdecimal() and int(value) > 0):
                raise ValueError(f"{feature} has no slice {value!r}: take a whole number above zero")
    return floors


class ModelGateSettings(BaseModel):
    """What a model has to reach, on the eval split, to be blessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_recall_at_10_lift: float = Field(default=1.5, ge=0)
    """recall@10 divided by that of train popularity, of all time or of late, whichever is higher, must be at least
    this."""

    max_recall_at_10_drop: float = Field(default=0.005, ge=0, le=1)
    """recall@10 may lie this far, absolutely, below the last blessed model's on the same queries. A model that lies
    further below is refused if chance doesn't explain it: if the 95 % interval of the difference is below zero."""

    non_inferior: bool = False
    """Whether a model has to be shown to be no worse: the interval's lower end has to stay above the allowed drop."""

    min_recall_at_10_of_slices: Annotated[
        dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]],
        BeforeValidator(_spelt_out),
        AfterValidator(_known_slices),
    ] = Field(default_factory=dict)
    """The least recall@10 in slices of the eval split, such as `{"label_popularity": {"tail": 0.02}}`."""


class ServableCheckSettings(BaseModel):
    """What an exported model has to meet before it is published."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_latency_ms: float = Field(default=250.0, gt=0)
    """The most milliseconds that the median single request may take, once warm, in a process of its own."""

    max_longest_latency_ms: float = Field(default=2000.0, gt=0)
    """The same for the longest history of train, where the model reads whole histories; `max_latency_ms` is for the
    median one there."""

    max_seconds: float = Field(default=300.0, gt=0)
    """The most seconds for the whole check; TensorFlow's import is most of it."""


class AuditSettings(BaseModel):
    """What of data, split and answers is out of bounds, and what becomes of it: see `docs/audit.md`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mode: Literal["note", "warn", "stop"] = "warn"
    """What becomes of a finding: `note` records it, `warn` shows it in the run's summary too, and `stop` keeps the
    model from being published."""

    queries: int = Field(default=2_000, ge=1)
    """The most eval queries that the model is asked about, drawn by chance."""

    seed: int = Field(default=42, ge=0, lt=2**63)
    """Fixes which queries are drawn, and which of their movies is dropped."""

    max_tied_share: float = Field(default=0.5, ge=0, le=1)
    """The most ratings, as a share, that share user and second with another."""

    max_label_in_context_share: float = Field(default=0.05, ge=0, le=1)
    """The most eval labels, as a share, that stand in their own context, which answers leave out."""

    max_eval_in_train_share: float = Field(default=0.05, ge=0, le=1)
    """The most eval windows, as a share, whose context and label are a train window's too."""

    max_cold_user_share: float = Field(default=0.8, ge=0, le=1)
    """The most users with an eval label, as a share, that have no train label."""

    max_median_wait_days: float = Field(default=30.0, gt=0)
    """The most days from a context's last movie to its label, in the median of the eval split."""

    min_moved_by_last: float = Field(default=0.2, ge=0, le=1)
    """The least share of an answer that another last movie has to change."""

    max_moved_by_drop: float = Field(default=0.9, ge=0, le=1)
    """The most of an answer, as a share, that changes where one movie of the history is dropped."""

    max_miss_rate_spread: float = Field(default=0.3, ge=0, le=1)
    """The most that the slices' miss rates may lie from that of all, on average."""

    min_nearness: float = Field(default=0.8, ge=0)
    """How many times as much as other queries' answers, at least, those of missed labels have to share with the label:
    in genres, and in having been watched together in train."""

    max_answer_overlap: float = Field(default=0.5, ge=0, le=1)
    """The most that two queries' answers may share on average."""
