"""The page about a local run, made from its artifacts and ML Metadata."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from components import naming
from components.report.load_run import RunArtifacts, load_run
from components.report.provenance import describe_process
from components.report.render import render_report
from components.report.report_model import FACTS_FILE, REPORT_FILE, Failure, ReportModel, SpanDay, StepFacts
from data.request_log.facts import ServedFacts
from data.version import __version__, commit
from pipeline.pipeline import source_digest
from pipeline.runs.history import read_history
from pipeline.runs.index import keep_report, write_index
from pipeline.runs.record import RunRecord
from pipeline.settings import Settings


def write_local_report(
    record: RunRecord,
    settings: Settings,
    failure: Failure | None = None,
    requests: ServedFacts | None = None,
    days: Sequence[SpanDay] = (),
) -> Path:
    """Write the page about a run beside its metadata, and keep it among those of earlier runs, with an index of all.

    Parameters
    ----------
    record, settings
        The run's.
    failure
        What ended it early.
    requests
        What the data folder's manifest holds of served requests; None where no request log was ever given.
    days
        The spans so far.

    Returns
    -------
    Path
        The page, which the next run writes over; `reports/` keeps a copy.

    Raises
    ------
    OSError
        A page can't be written.
    """
    facts = _facts_of(record, settings)
    began = min((step.started for step in record.steps), default=0.0)
    ended = max((step.started + step.seconds for step in record.steps), default=0.0)
    complete = facts.model_copy(
        update={
            "made_at": datetime.fromtimestamp(began, timezone.utc),
            # A report step that was taken from the cache names the code of an earlier run.
            "code_version": __version__,
            "commit": commit(),
            "steps": [
                StepFacts(name=step.name, state=step.state, seconds=step.seconds, started=step.started - began)
                for step in record.steps
            ],
            "seconds": ended - began,
            "history": read_history(record),
            "days": list(days),
            "choice": record.choice.sentence if record.choice is not None else None,
            "failure": failure,
            # A log changes no example, so that the examples' own manifest may be one of before.
            "data": facts.data.model_copy(update={"requests": requests}) if facts.data is not None else None,
            "provenance": describe_process(source_digest()),
            # The report step doesn't know the lineage of models of earlier versions, which don't say their data.
            "decision": facts.decision.model_copy(
                update={
                    "no_baseline": record.evaluation_result.no_baseline if record.evaluation_result else None,
                    "model_folder": _as_typed(record.published) if record.published is not None else None,
                }
            ),
        }
    )
    folder = Path(record.metadata_file).parent
    text = render_report(complete)
    (folder / REPORT_FILE).write_text(text, encoding="utf-8")
    keep_report(folder, record.run_id, text, complete)
    write_index(folder.parent)
    return folder / REPORT_FILE


def _as_typed(path: Path) -> str:
    """Return a path as a person would type it here: from the working directory on where it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _facts_of(record: RunRecord, settings: Settings) -> ReportModel:
    """Return the facts of the run's own report step, or those of what a run left that ended before it."""
    reported = record.folder(naming.REPORT)
    if reported is not None:
        return ReportModel.model_validate_json((reported / FACTS_FILE).read_text(encoding="utf-8"))
    artifacts = RunArtifacts(
        examples=record.folder(naming.EXAMPLES),
        statistics=record.folder(naming.UNPADDED_STATISTICS),
        anomalies=record.folder(naming.ANOMALIES),
        verdict=record.folder(naming.VERDICT),
        model=record.folder(naming.MODEL),
        model_run=record.folder(naming.MODEL_RUN),
        servability=record.folder(naming.SERVABILITY),
        audit=record.folder(naming.AUDIT_RECORD),
        published=record.published.name if record.published is not None else None,
    )
    return load_run(
        artifacts,
        settings.pipeline_name,
        settings.model_dump(mode="json", exclude={"kubeflow"}),
        record.evaluation_result,
    )
