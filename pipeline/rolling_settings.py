"""Settings of a pipeline that learns from spans of data, one after the other."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from components.spans.settings import SpanGateSettings
from trainer_module.settings import RollingSettings


class RollingPipelineSettings(BaseModel):
    """What a model learns from, and when a span is refused: see `docs/continuous.md`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    num_spans: int = Field(default=8, ge=1)
    """The accepted spans that a model learns from: this many at most, the newest among them."""

    span_gate: SpanGateSettings = SpanGateSettings()
    """When a span is refused."""

    cold_every: int = Field(default=0, ge=0)
    """On every span whose number is a multiple of this, a cold training runs beside the warm one, and its model goes on
    where the gate would refuse the warm one against it; 0 for never."""

    start: RollingSettings = RollingSettings()
    """How a model is trained that follows the served one."""

    def is_cold_due(self, span: int) -> bool:
        """Return whether a cold training runs beside a warm one; the first span's is cold by itself."""
        return self.start.warm and self.cold_every > 0 and span > 1 and span % self.cold_every == 0
