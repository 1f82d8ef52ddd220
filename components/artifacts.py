"""Artifact types of the project's own components; each is named for its class, after our namespace."""

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

    A type of its own: whoever looks for the last run's `ExampleStatistics` must not find these.
    """

    TYPE_NAME = f"{NAMESPACE}.UnpaddedExampleStatistics"


class RunReport(tfx.dsl.Artifact):
    """`report.html` about one run, and `facts.json`, from which it was made."""

    TYPE_NAME = f"{NAMESPACE}.RunReport"
