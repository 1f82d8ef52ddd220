"""Served requests on the report's page."""

from __future__ import annotations

from report_models import full_facts

from components.report.render import render_report
from components.report.report_model import ReportModel
from components.report.requests_section import requests_section
from data.request_log.facts import Position, ServedFacts, Skew


def with_requests(**changes: object) -> ReportModel:
    served = ServedFacts(
        log_sha256="0" * 64,
        requests=1_200,
        first=1_764_300_000.0,
        last=1_764_386_400.5,
        versions={"3": 1_200},
        answered_feedback=30,
        unmatched_feedback=2,
        unfinished=0,
        unknown_share=0.125,
        movies=Skew(l_infinity=0.0123, jensen_shannon=0.25),
        popularity=Skew(
            l_infinity=0.1, jensen_shannon=0.01, train={"head": 9, "tail": 1}, served={"head": 8, "tail": 2}
        ),
        history_lengths=Skew(l_infinity=None, jensen_shannon=None, train={"1": 1, "10": 4}, served={"1": 0, "10": 0}),
        positions=(Position(position=1, shown=1_000, taken=20),),
        taken_below=4,
        taken_elsewhere=5,
    ).model_copy(update=changes)
    facts = full_facts()
    return facts.model_copy(update={"data": facts.data.model_copy(update={"requests": served})})


def test_the_section_says_the_distances_and_what_is_taken_at_each_place():
    page = render_report(with_requests())

    assert '<a href="#requests">Served requests</a>' in page
    for said in ("1,200 requests from 2025-11-28", "12.5% of the movies", "0.0123", "2.00%", "1.30% to 3.07%"):
        assert said in page, said


def test_without_feedback_no_rates_are_shown():
    page = render_report(with_requests(answered_feedback=0))
    assert "No feedback came" in page
    assert "95 % interval</th>" not in page.partition('id="requests"')[2].partition("</details>")[0]


def test_a_report_without_a_log_has_no_such_section():
    assert requests_section(full_facts()) is None
    assert "Served requests" not in render_report(full_facts())
