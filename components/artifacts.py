"""Artifact types of the project's own components."""

from __future__ import annotations

from tfx import v1 as tfx


class DataVerdict(tfx.dsl.Artifact):
    """What the data gate found: `verdict.json` in the artifact's folder."""

    TYPE_NAME = "DataVerdict"
