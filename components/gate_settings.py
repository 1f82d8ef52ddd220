"""What the two gates ask: of the data before training, and of the model after it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal["stop", "warn"]


class DataGateSettings(BaseModel):
    """When a run stops before training. `warn` lets it go on, and says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    anomalies: Action = "stop"
    """Anomalies against the schema, in either split."""

    drift: Action = "stop"
    """Train statistics further from the previous run's than the schema's drift comparators allow."""

    unseen_labels: Action = "stop"
    """Too many eval labels that train never shows."""

    max_unseen_label_share: float = Field(default=0.25, ge=0, le=1)
    """The most eval labels, as a share, that may be unseen in train: no model can answer those."""


class ModelGateSettings(BaseModel):
    """What a model has to reach, on the eval split, to be blessed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_recall_at_10_lift: float = Field(default=1.5, ge=0)
    """recall@10 divided by that of train popularity must be at least this."""

    max_recall_at_10_drop: float = Field(default=0.005, ge=0, le=1)
    """recall@10 may lie this far, absolutely, below the last blessed model's on the same eval split.

    Above zero, because two trainings that differ in nothing but their threads differ in the third decimal.
    """


class ServableCheckSettings(BaseModel):
    """What a model has to stand before it is published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_latency_ms: float = Field(default=250.0, gt=0)
    """The most milliseconds that the median single request may take, once warm, in a process of its own."""

    max_seconds: float = Field(default=300.0, gt=0)
    """The most seconds for the whole check; TensorFlow's import is most of it."""
