"""The page over all runs of a work directory, and the record of each run that it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from components.finding import Figure
from components.report.render import render_page, verdict_of
from components.report.report_model import ReportModel

INDEX_FILE = "index.html"
REPORTS_FOLDER = "reports"
"""Beside a pipeline's metadata: the page of each of its runs, and its entry in the index."""

_RECALL = "recall_at_10"
_NAMED = 6
"""Changed settings that are named; the others are counted."""


class RunEntry(BaseModel):
    """What the index says of a run.

    Attributes
    ----------
    verdict, tone
        How it ended, in words, and the name of their colour.
    recall
        recall@10 of its model; None where none was judged.
    seconds
        All of its steps together.
    cached
        Whether every step was taken from the cache.
    data
        Digest of its data's manifest.
    code
        Version and commit.
    libraries
        Their versions, and Python's, by name.
    settings
        All of them, by dotted name.
    """

    # A later version's entries may say more.
    model_config = ConfigDict(extra="ignore", frozen=True)

    pipeline: str
    run: str
    began: datetime
    verdict: str
    tone: str
    recall: Figure = None
    seconds: float | None = None
    cached: bool = False
    data: str | None = None
    code: str = ""
    libraries: dict[str, str] = {}
    settings: dict[str, Any] = {}

    def changes_since(self, before: RunEntry) -> list[str]:
        """Return what differs from an earlier run: data, code, libraries, and settings by name."""
        now, then = self.settings, before.settings
        names = sorted(name for name in {**now, **then} if now.get(name) != then.get(name))
        named = names[:_NAMED] + ([f"{len(names) - _NAMED} more settings"] if len(names) > _NAMED else [])
        data = ["data"] if self.data != before.data else []
        code = ["code"] if self.code != before.code else []
        # Entries of earlier versions name no libraries.
        libraries = ["libraries"] if before.libraries and self.libraries != before.libraries else []
        return [*data, *code, *libraries, *named]


def page_names(run: str) -> tuple[str, str]:
    """Return where a run's entry in the index and its page lie in the folder of the pipeline's metadata."""
    # A slash would lead elsewhere; TFX puts none into a run's name.
    name = run.replace(":", "-").replace("/", "-")
    return f"{REPORTS_FOLDER}/{name}.json", f"{REPORTS_FOLDER}/{name}.html"


def keep_report(folder: Path, run: str, page: str, facts: ReportModel) -> None:
    """Write a run's page and its entry among those of its pipeline.

    Parameters
    ----------
    folder
        That of the pipeline's metadata.
    run
        The run's name.
    page
        Its report.
    facts
        What the report was made from.

    Raises
    ------
    OSError
        A file can't be written.
    """
    (folder / REPORTS_FOLDER).mkdir(exist_ok=True)
    entry_file, page_file = (folder / name for name in page_names(run))
    verdict = verdict_of(facts)
    entry = RunEntry(
        pipeline=facts.pipeline,
        run=entry_file.stem,
        began=facts.made_at,
        verdict=verdict["text"],
        tone=verdict["tone"],
        recall=next((row.model for row in facts.metrics if row.name == _RECALL), None),
        seconds=facts.seconds,
        cached=facts.is_cached,
        data=facts.data.manifest_digest if facts.data is not None else None,
        code=" ".join(filter(None, (facts.code_version, facts.commit))),
        libraries=facts.provenance.libraries if facts.provenance is not None else {},
        settings=dict(_flat(facts.settings)),
    )
    page_file.write_text(page, encoding="utf-8")
    entry_file.write_text(entry.model_dump_json(), encoding="utf-8")


def write_index(pipelines: Path) -> Path:
    """Write the page over all runs beside the folder of pipelines, and return it.

    Raises
    ------
    OSError
        It can't be written.
    """
    page = pipelines.parent / INDEX_FILE
    page.write_text(
        render_page(
            "index.html",
            sections=_sections(pipelines),
            reports=REPORTS_FOLDER,
            folder=pipelines.name,
            made_at=datetime.now(timezone.utc),
        ),
        encoding="utf-8",
    )
    return page


def _sections(pipelines: Path) -> list[dict[str, Any]]:
    """Return the runs of each pipeline, newest first, pipelines by their newest run."""
    found: dict[str, list[RunEntry]] = {}
    for file in pipelines.glob(f"*/{REPORTS_FOLDER}/*.json"):
        try:
            entry = RunEntry.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            # One damaged entry must not hide the others.
            continue
        found.setdefault(file.parent.parent.name, []).append(entry)
    sections = []
    for name, entries in found.items():
        ordered = sorted(entries, key=lambda entry: entry.began)
        rows = [
            {"entry": entry, "changes": None if before is None else entry.changes_since(before)}
            for before, entry in zip([None, *ordered[:-1]], ordered, strict=True)
        ]
        sections.append({"name": name, "rows": rows[::-1], "newest": ordered[-1].began})
    return sorted(sections, key=lambda section: section["newest"], reverse=True)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value))
    return flat
