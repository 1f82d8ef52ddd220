"""The pipeline's last step: a page about the run, made from its artifacts."""

import json

from tfx import v1 as tfx

from components.artifacts import AuditRecord, DataVerdict, RunReport, UnpaddedExampleStatistics
from components.evaluation.evaluation_result import read_evaluation_result
from components.gate_settings import ModelGateSettings
from components.history.comparability import why_passed_over
from components.local_paths import local_path
from components.naming import LAST_BLESSED, SERVED
from components.report.load_run import RunArtifacts, load_run
from components.report.render import render_report
from components.report.report_model import FACTS_FILE, REPORT_FILE


@tfx.dsl.components.component
def RunReporter(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    statistics: tfx.dsl.components.InputArtifact[UnpaddedExampleStatistics],
    anomalies: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleAnomalies],
    verdict: tfx.dsl.components.InputArtifact[DataVerdict],
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    model_run: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ModelRun],
    evaluation: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ModelEvaluation],
    blessing: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ModelBlessing],
    servability: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.InfraBlessing],
    audit: tfx.dsl.components.InputArtifact[AuditRecord],
    pushed_model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.PushedModel],
    report: tfx.dsl.components.OutputArtifact[RunReport],
    pipeline_name: tfx.dsl.components.Parameter[str],
    settings: tfx.dsl.components.Parameter[str],
    source_digest: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
    passed_over: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model] = None,
) -> None:
    """Write `report.html` and the facts behind it.

    `settings` is the whole of the pipeline's settings as JSON, and `source_digest` that of the code that trains.
    `passed_over` is the last blessed model, where it could not be compared with. `code_digest` only tells TFX's cache
    when this code or a template changes.
    """
    pushed = pushed_model.get_int_custom_property("pushed") == 1
    artifacts = RunArtifacts(
        examples=local_path(examples.uri),
        statistics=local_path(statistics.uri),
        anomalies=local_path(anomalies.uri),
        verdict=local_path(verdict.uri),
        model=local_path(model.uri),
        model_run=local_path(model_run.uri),
        servability=local_path(servability.uri),
        audit=local_path(audit.uri),
        published=pushed_model.get_string_custom_property("pushed_version") if pushed else None,
    )
    chosen = json.loads(settings)
    result = read_evaluation_result(
        local_path(evaluation.uri),
        local_path(blessing.uri),
        ModelGateSettings.model_validate(chosen["model_gate"]),
        why_passed_over(local_path(passed_over.uri), local_path(examples.uri)) if passed_over is not None else None,
        SERVED if chosen.get("rolling") is not None else LAST_BLESSED,
    )
    facts = load_run(artifacts, pipeline_name, chosen, result, source_digest)
    for name, text in ((FACTS_FILE, facts.model_dump_json(indent=2)), (REPORT_FILE, render_report(facts))):
        with tfx.dsl.io.fileio.open(f"{report.uri}/{name}", "w") as file:
            file.write(text)
