"""Where a run that begins at a later step has to begin."""

from __future__ import annotations

import pytest

from pipeline.pipeline import create_pipeline, nodes_to_start
from pipeline.settings import RunPaths, load_settings

pytestmark = pytest.mark.slow

PLACES = RunPaths(data_root="/d", schema_file="/d/schema.pbtxt", pipeline_root="/r", serving="/s")


@pytest.mark.parametrize(
    ("from_node", "resolvers"),
    [
        ("ExampleGen", {"PreviousStatistics", "LatestBlessedModel"}),
        ("DataGate", {"PreviousStatistics", "LatestBlessedModel"}),
        ("Trainer", {"LatestBlessedModel"}),
        ("Evaluator", {"LatestBlessedModel"}),
        ("LatestBlessedModel", set()),
        ("Pusher", set()),
        ("RunReport", set()),
    ],
)
def test_what_a_step_is_compared_with_is_looked_for_anew_and_nothing_else_before_it(from_node, resolvers):
    first, *others = nodes_to_start(create_pipeline(load_settings("sample"), PLACES), from_node)
    assert first == from_node
    assert set(others) == resolvers
