"""Artifact types of the project's own components; a type's name is the project's namespace and the class."""

from __future__ import annotations

from tfx import v1 as tfx

from components.naming import NAMESPACE


class DataVerdict(tfx.dsl.Artifact):
    """What the data gate found: `verdict.json` in the artifact's folder."""

    TYPE_NAME = f"{NAMESPACE}.DataVerdict"


class DataSource(tfx.dsl.Artifact):
    """A release's archive or folder, or a folder of generated data, as it lies in an object store."""

    TYPE_NAME = f"{NAMESPACE}.DataSource"


class GeneratedData(tfx.dsl.Artifact):
    """Shards, catalogue and manifest, as `data.generate` writes them."""

    TYPE_NAME = f"{NAMESPACE}.GeneratedData"


class UnpaddedExampleStatistics(tfx.dsl.Artifact):
    """Counts of the examples' values without padding, in TFDV's format, a folder for each split as StatisticsGen has.

    They have a type of their own, so that a look-up of the last run's `ExampleStatistics` doesn't find them.
    """

    TYPE_NAME = f"{NAMESPACE}.UnpaddedExampleStatistics"


class SpanVerdict(tfx.dsl.Artifact):
    """What the span gate let pass: `verdict.json` in the artifact's folder."""

    TYPE_NAME = f"{NAMESPACE}.SpanVerdict"


class PrequentialFigures(tfx.dsl.Artifact):
    """The served model's figures on a span before it was learned from.

    `figures.json` holds all; the property `span`, and the figures of the curve, stay when files are deleted.
    """

    TYPE_NAME = f"{NAMESPACE}.PrequentialFigures"


class ColdChoice(tfx.dsl.Artifact):
    """Whether a cold training's model won against the warm one's: `choice.json`, and the property `cold_wins`."""

    TYPE_NAME = f"{NAMESPACE}.ColdChoice"


class AuditRecord(tfx.dsl.Artifact):
    """What the audit measured and found: `audit.json` in the artifact's folder."""

    TYPE_NAME = f"{NAMESPACE}.AuditRecord"


class BatchAnswers(tfx.dsl.Artifact):
    """The served version's answers to every user: `answers.parquet`; empty where nothing is published yet."""

    TYPE_NAME = f"{NAMESPACE}.BatchAnswers"


class RunReport(tfx.dsl.Artifact):
    """`report.html` about one run, and `facts.json`, from which it was made."""

    TYPE_NAME = f"{NAMESPACE}.RunReport"


class HtmlPage(tfx.dsl.Artifact):
    """A page in one file, at which the URI points; on a cluster of the type `system.HTML`."""

    TYPE_NAME = f"{NAMESPACE}.HtmlPage"


class MarkdownPage(tfx.dsl.Artifact):
    """A text in one file, at which the URI points; on a cluster of the type `system.Markdown`."""

    TYPE_NAME = f"{NAMESPACE}.MarkdownPage"


class ScalarMetrics(tfx.dsl.Artifact):
    """Metrics as custom properties, without a file; on a cluster of the type `system.Metrics`."""

    TYPE_NAME = f"{NAMESPACE}.ScalarMetrics"
