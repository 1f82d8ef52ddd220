"""Names that components and the containers they run in agree on."""

from __future__ import annotations

NAMESPACE = "next_movie"
"""Comes before the names of our artifact types: Kubeflow's compiler refuses names without a namespace."""

ARTIFACTS_MODULE = "components.artifacts"
"""Module of the classes of our artifact types."""

SHOWN_TYPES = {"HtmlPage": "system.HTML", "MarkdownPage": "system.Markdown", "ScalarMetrics": "system.Metrics"}
"""Kubeflow's names, by class, of the artifact types that its pages show."""

BASELINE_NODE = "LatestBlessedModel"
"""Id of the node that looks for the model to compare with."""

PASSED_OVER = "passed_over"
"""Its output for the last blessed model where that one can't be compared with."""

ABSENT = "absent"
"""Custom property of an artifact that stands for "there is none yet".

A Kubeflow task has to fill each of its outputs; the container's entrypoint leaves such an artifact out of the inputs
of the tasks that follow.
"""
