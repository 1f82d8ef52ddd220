"""What a gate, the audit or the servable check found: one form, which artifacts and the report keep as JSON."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator


def _number_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Figure = Annotated[float | None, BeforeValidator(_number_or_none)]
"""A measured figure; None where what was measured is no number, which JSON has no way to write."""


class Finding(BaseModel):
    """One thing that is not as it has to be, or that was asked for and is.

    Attributes
    ----------
    kind
        The setting, the metric or the promise that is about it.
    what
        What was found and what is allowed, in words.
    where
        The split and the feature, or the feature and its value, that it is about; None for all.
    measured, allowed
        Both figures; None where it is not a matter of one.
    remedy
        What to do, in words.
    met
        Whether it is as it has to be.

    Examples
    --------
    >>> found = Finding(kind="max_tied_share", what="7% share a second, more than the 5% allowed", remedy="bring times")
    >>> found.sentence
    '7% share a second, more than the 5% allowed: bring times'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    what: str
    where: tuple[str, str] | None = None
    measured: Figure = None
    allowed: Figure = None
    remedy: str = ""
    met: bool = False

    @property
    def sentence(self) -> str:
        """All that there is to say."""
        return f"{self.what}: {self.remedy}" if self.remedy else self.what

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_forms(cls, value: Any) -> Any:
        """Take what earlier versions wrote: the servable check, the audit and the model gate, the data gate."""
        if isinstance(value, str):
            return {"kind": "servable", "what": value}
        if isinstance(value, dict) and "sentence" in value:
            known = {"kind": value.get("name", "model_gate"), "what": value["sentence"]}
            return known | {"met": value.get("met", False)}
        if isinstance(value, dict) and "reason" in value:
            return {"kind": value["kind"], "what": value["reason"], "where": (value["split"], value["feature"])}
        return value
