"""What became of each span, one small file a span, for orchestrators whose tasks don't see ML Metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from data.errors import InputError
from data.user_files import write_text

REFUSALS = frozenset({"G08", "G13", "G17"})
"""Codes of the refusal of data: damaged arrays, the data gate, the span gate."""

_FILE = re.compile(r"span-([1-9][0-9]*)\.json")
_ACCEPTED = frozenset({"accepted", "judged", "published"})


class SpanRecord(BaseModel):
    """How far a span came.

    Attributes
    ----------
    outcome
        `begun`, `accepted` by the gates of the data or `refused` by one; then `judged` where a model was trained and
        refused, or `published`.
    manifest_digest
        Of the span's data.
    reason
        Why it was refused; empty for others.
    figures
        The served model's metrics on the span before it was learned from, by name; none where no model was served.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["begun", "accepted", "refused", "judged", "published"]
    manifest_digest: str
    reason: str = ""
    figures: dict[str, float] = {}


def read_ledger(folder: Path) -> dict[int, SpanRecord]:
    """Return the records of all spans by their numbers; none where there is no such folder.

    Raises
    ------
    InputError
        A record can't be read: the span that it is of might be learned from twice, or from refused data.
    """
    records = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if named := _FILE.fullmatch(file.name):
            try:
                records[int(named[1])] = SpanRecord.model_validate_json(file.read_bytes())
            except (OSError, ValidationError) as error:
                raise InputError(
                    f"{file} is no record of a span: put it back from a copy, or remove it to take the span anew",
                    code="M35",
                ) from error
    return records


def keep_record(folder: Path, span: int, record: SpanRecord) -> None:
    """Keep the record of a span in place of an earlier one; a reader sees the one or the other."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"span-{span}.json", record.model_dump_json())


def keep_progress(folder: Path, span: int, **changes: object) -> None:
    """Keep what is new of a span that a run has begun with."""
    keep_record(folder, span, read_ledger(folder)[span].model_copy(update=changes))


def decided(records: Mapping[int, SpanRecord]) -> dict[int, SpanRecord]:
    """Return the records of spans that need no run any more."""
    return {span: found for span, found in records.items() if found.outcome not in ("begun", "accepted")}


def accepted(records: Mapping[int, SpanRecord], *, before: int, most: int) -> list[int]:
    """Return the last accepted spans before a span, `most` of them at most, the newest first."""
    spans = sorted(
        (span for span, found in records.items() if found.outcome in _ACCEPTED and span < before), reverse=True
    )
    return spans[:most]
