"""What stays of spans: those in range, and the statistics that the next drift check reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_days import NOW, Home

from data.options import GenerateOptions
from data.spans.writing import write_spans
from pipeline.housekeeping import removal
from pipeline.housekeeping.retention import KEPT_FOR_DRIFT, KEPT_FOR_SPANS, choose
from pipeline.housekeeping.run_graph import STATISTICS_TYPE, RunGraph, read_run_graph


@pytest.fixture(scope="session")
def span(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small span."""
    series = tmp_path_factory.mktemp("series")
    write_spans(GenerateOptions(release="sample"), series, by="year")
    return series / "span-2"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "runs")


def kept(home: Home, reason: str) -> tuple[RunGraph, set[int]]:
    """Return the artifacts that stay for a reason when only the last run stays."""
    graph = read_run_graph(home.metadata)
    retention = choose(graph, keep_runs=1, older_than=None, now=NOW)
    return graph, {artifact for artifact, why in retention.artifacts.items() if why == reason}


def test_the_spans_that_the_next_model_learns_from_stay_and_a_refused_one_takes_nobody_s_place(home, span):
    accepted = [home.add_span(span, number) for number in (1, 2, 3, 4)]
    home.add_span(span, 5, accepted=False)
    home.add_span(span, 6, accepted=False)
    assert kept(home, KEPT_FOR_SPANS)[1] == set(accepted[1:])


def test_of_a_span_that_was_read_twice_the_newest_examples_stay(home, span):
    home.add_span(span, 1)
    again = home.add_span(span, 1)
    home.add_day()
    assert kept(home, KEPT_FOR_SPANS)[1] == {again}


def test_the_statistics_of_the_last_ranges_stay_where_the_last_run_was_refused_before_it_had_any(home, span):
    for number in (1, 2, 3):
        home.add_span(span, number)
    home.add_span(span, 4, accepted=False)
    graph, artifacts = kept(home, KEPT_FOR_DRIFT)
    of_ranges = [one for one in graph.of_kind(STATISTICS_TYPE) if graph.nodes[graph.makers[one]] == "RangeStatistics"]
    assert set(of_ranges[-2:]) <= artifacts
    assert of_ranges[0] not in artifacts


def test_statistics_that_no_gate_let_pass_do_not_stay(home, span):
    passed = home.add_span(span, 1)
    refused = home.add_span(span, 2, accepted=False)
    home.add_day()
    graph, artifacts = kept(home, KEPT_FOR_DRIFT)
    assert {examples for one in artifacts for examples in graph.inputs_of(one)} == {passed}
    assert refused not in graph.accepted_examples()


def test_after_a_hundred_spans_the_disk_holds_as_much_as_after_ten(home, span):
    sizes = []
    # Numbers of three digits: manifests, which hold them, are equally long.
    for day in range(101, 201):
        home.add_span(span, day, accepted=day % 10 != 5)
        home.add_answers(range(50))
        if day % 10 == 0:
            home.collect()
            sizes.append(removal.size([home.folder / "artifacts", home.folder / "reports"]))
    assert sizes == [sizes[0]] * 10
