"""The page about a local run, made from its artifacts and ML Metadata."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from components.report.load_run import RunArtifacts, load_run
from components.report.render import render_report
from components.report.report_model import FACTS_FILE, Failure, ReportModel, StepFacts
from components.report.run_report import REPORT_FILE
from data.examples.manifest import Manifest
from data.version import __version__, commit
from pipeline.run_history import read_history
from pipeline.run_record import RunRecord, read_run_record
from pipeline.settings import RunPaths, Settings


def write_local_report(settings: Settings, paths: RunPaths, failure: Failure | None = None) -> Path:
    """Write the page about the latest run beside its metadata, over the page about the one before.

    Parameters
    ----------
    settings, paths
        The run's settings and paths.
    failure
        What ended it early.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    LookupError
        No run is recorded.
    """
    metadata = paths.local_metadata
    record = read_run_record(metadata, settings.model_gate)
    facts = _facts_of(record, settings)
    evaluation = record.outputs.get(("Evaluator", "evaluation"))
    began = min((step.started for step in record.steps), default=0.0)
    ended = max((step.started + step.seconds for step in record.steps), default=0.0)
    told = facts.model_copy(
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
            "history": read_history(metadata, _examples_of(record), evaluation.uri if evaluation else None),
            "failure": failure,
            # The report step doesn't know the lineage of models of earlier versions, which don't say their data.
            "decision": facts.decision.model_copy(
                update={"no_baseline": record.evaluation_result.no_baseline if record.evaluation_result else None}
            ),
        }
    )
    page = Path(metadata).parent / REPORT_FILE
    page.write_text(render_report(told), encoding="utf-8")
    return page


def _examples_of(record: RunRecord) -> Manifest | None:
    examples = record.outputs.get(("ExampleGen", "examples"))
    return Manifest.load(examples.uri) if examples is not None else None


def _facts_of(record: RunRecord, settings: Settings) -> ReportModel:
    """Return the facts of the run's own report step, or those of what a run left that ended before it."""
    reported = record.outputs.get(("RunReport", "report"))
    if reported is not None:
        return ReportModel.model_validate_json((reported.uri / FACTS_FILE).read_text(encoding="utf-8"))

    def place(node: str, output: str) -> Path | None:
        artifact = record.outputs.get((node, output))
        return artifact.uri if artifact is not None else None

    artifacts = RunArtifacts(
        examples=place("ExampleGen", "examples"),
        statistics=place("StatisticsGen", "unpadded"),
        anomalies=place("ExampleValidator", "anomalies"),
        verdict=place("DataGate", "verdict"),
        model=place("Trainer", "model"),
        model_run=place("Trainer", "model_run"),
        evaluation=place("Evaluator", "evaluation"),
        blessing=place("Evaluator", "blessing"),
        servability=place("ServableCheck", "blessing"),
        passed_over=record.passed_over,
        published=record.published.name if record.published is not None else None,
    )
    return load_run(artifacts, settings.pipeline_name, settings.model_dump(mode="json", exclude={"kubeflow"}))
