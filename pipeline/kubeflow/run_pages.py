"""What Kubeflow's own pages show of a run: they render single files of a few types, and metrics from properties."""

import shutil

from tfx import v1 as tfx

from components.artifacts import HtmlPage, MarkdownPage, RunReport, ScalarMetrics, UnpaddedExampleStatistics
from components.local_paths import local_path
from components.report.report_model import FACTS_FILE, REPORT_FILE, ReportModel
from components.statistics.feature_statistics import read_split_statistics, split_names
from data.examples.manifest import Manifest
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from pipeline.inspection.page import render_inspection

STATISTICS_FILE = "statistics.html"
SUMMARY_FILE = "summary.md"
_METRICS = ("recall_at_1", "recall_at_5", "recall_at_10", "recall_at_100", "ndcg_at_10", "recall_at_10_lift")


@tfx.dsl.components.component
def RunPages(  # noqa: N802
    report: tfx.dsl.components.InputArtifact[RunReport],
    statistics: tfx.dsl.components.InputArtifact[UnpaddedExampleStatistics],
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    report_page: tfx.dsl.components.OutputArtifact[HtmlPage],
    statistics_page: tfx.dsl.components.OutputArtifact[HtmlPage],
    summary: tfx.dsl.components.OutputArtifact[MarkdownPage],
    metrics: tfx.dsl.components.OutputArtifact[ScalarMetrics],
    code_digest: tfx.dsl.components.Parameter[str],
) -> None:
    """Write the report, the statistics and the decision as files that are shown as they are, and set the metrics.

    `code_digest` only tells the backend's cache when this code changes.
    """
    folder = local_path(report.uri)
    facts = ReportModel.model_validate_json((folder / FACTS_FILE).read_text(encoding="utf-8"))
    # A page shows an artifact only if its URI is that of one file.
    for page, name in ((report_page, REPORT_FILE), (statistics_page, STATISTICS_FILE), (summary, SUMMARY_FILE)):
        page.uri = f"{page.uri}/{name}"
    shutil.copyfile(folder / REPORT_FILE, local_path(report_page.uri))

    data = local_path(examples.uri)
    manifest, counted = Manifest.load(data), local_path(statistics.uri)
    splits = [(split, read_split_statistics(counted, split, manifest)) for split in split_names(counted)]
    page_text = render_inspection(
        facts.pipeline, splits, Catalogue.load(data / CATALOGUE_FILE), manifest.options.wording
    )
    local_path(statistics_page.uri).write_text(page_text, encoding="utf-8")

    local_path(summary.uri).write_text(summarize(facts), encoding="utf-8")
    for row in facts.metrics:
        if row.name in _METRICS:
            metrics.set_float_custom_property(row.name, row.model)
    metrics.set_string_custom_property("decision", decision_of(facts))


def decision_of(facts: ReportModel) -> str:
    """Return in a few words what became of the model."""
    decision = facts.decision
    if decision.published is not None:
        return f"published as version {decision.published}"
    if decision.servable:
        return "not published: it can't be served"
    if decision.blessed and facts.audit is not None and facts.audit.stops:
        return "not published: the audit stopped it"
    return "not published" if decision.blessed else "not published: the gate refused it"


def summarize(facts: ReportModel) -> str:
    """Return the decision and its reasons in Markdown."""
    decision = facts.decision
    reasons = [f"{'met' if check.met else '**not met**'}: {check.sentence}" for check in decision.checks]
    reasons += [decision.forms] if decision.forms else []
    reasons += [f"compared with none: {decision.no_baseline}"] if decision.no_baseline else []
    reasons += [f"**out of bounds**: {finding.sentence}" for finding in facts.audit.findings] if facts.audit else []
    reasons += [f"**can't be served**: {finding.sentence}" for finding in decision.servable or []]
    return "\n".join([f"# {facts.pipeline}: {decision_of(facts)}", "", *(f"- {reason}" for reason in reasons), ""])
