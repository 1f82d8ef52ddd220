"""The audit on the page about a run."""

from __future__ import annotations

from datetime import timedelta

import pytest
from report_models import WHEN, full_facts

from components.audit.figures import (
    AuditResult,
    BehaviourFigures,
    DataFigures,
    Nearness,
    SliceMisses,
    SplitFigures,
)
from components.finding import Finding
from components.gate_settings import AuditSettings
from components.report.audit_section import audit_section
from components.report.render import render_report, verdict_of
from components.report.report_model import DecisionFacts, PastRun, ReportModel
from pipeline.kubeflow.run_pages import decision_of, summarize

FINDING = Finding(kind="max_tied_share", what="64.0% of the <ratings> share user and second")


def audit(**changes: object) -> AuditResult:
    train = SplitFigures(
        examples=1234,
        cold_label_share=0.0,
        repeats_in_context_share=0.01,
        label_in_context_share=0.02,
        median_wait_seconds=11,
        long_wait_seconds=7_400,
    )
    found = AuditResult(
        mode="warn",
        data=DataFigures(
            train=train,
            eval=train.model_copy(update={"median_wait_seconds": 3 * 86_400, "cold_label_share": 0.1457}),
            tied_share=0.64,
            eval_in_train_share=0.0038,
            cold_user_share=0.641,
            overlap_seconds=0,
        ),
        behaviour=BehaviourFigures(
            queries=2000,
            moved_by_last=0.7271,
            miss_rate=0.9125,
            slices=[
                SliceMisses(feature="label_popularity", value="head", queries=900, miss_rate=0.8, counted=True),
                SliceMisses(feature="label_popularity", value="unseen", queries=40, miss_rate=1.0, counted=False),
            ],
            genres=Nearness(own=0.2, others=0.16),
            answer_overlap=0.0145,
        ),
        findings=[FINDING],
    )
    return found.model_copy(update=changes)


def facts(**changes: object) -> ReportModel:
    plain = full_facts()
    settings = {**plain.settings, "audit": AuditSettings().model_dump()}
    return plain.model_copy(update={"settings": settings, "audit": audit(), **changes})


def test_figures_stand_beside_what_is_allowed():
    section = audit_section(facts())
    rows = {row.label: row for row in (*section["data"], *section["behaviour"])}
    tied = rows["ratings that share user and second with another"]
    assert (tied.value, tied.allowed, tied.is_out) == ("64.0%", "≤ 50%", True)
    cold = rows["users with an eval label that have no train label"]
    assert (cold.value, cold.allowed, cold.is_out) == ("64.1%", "≤ 80%", False)
    moved = rows["answer moved by another last movie"]
    assert (moved.value, moved.allowed) == ("72.7%", "≥ 20%")
    assert rows["from the last input to the train label, median and 90th percentile"].value == "11 s, 2 hours"
    wait = rows["from the last input to the eval label, median and 90th percentile"]
    assert (wait.value, wait.allowed) == ("3 days, 2 hours", "≤ 30 days")
    near = rows["genres that missed answers share with the label"]
    assert (near.value, near.allowed) == ("20.0%, others' 16.0%, 1.25 times", "≥ 0.8 times")
    assert rows["answer moved by the opposite order"].value == "not known"
    assert [row.label for row in rows.values() if row.is_out] == [tied.label]


def test_the_page_tells_findings_and_misses_by_slice_and_leads_there():
    page = render_report(facts())
    assert '<a href="#audit">Audit</a>' in page
    assert "64.0% of the &lt;ratings&gt; share user and second" in page
    assert "did not stop the run" in page
    assert "Answers of ten to 2,000 eval queries" in page
    assert '<th scope="row" class="text">label popularity unseen</th><td>40</td><td>100.0%</td><td>no</td>' in page


def test_without_a_finding_the_page_says_so_and_without_an_audit_nothing():
    assert "Nothing is out of bounds" in render_report(facts(audit=audit(findings=[])))
    page = render_report(full_facts())
    assert 'id="audit"' not in page
    assert 'href="#audit"' not in page


def test_a_model_that_the_audit_stopped_is_told_so_everywhere():
    blessed = DecisionFacts(blessed=True, servable=[])
    stopped = facts(audit=audit(mode="stop"), decision=blessed)
    assert verdict_of(stopped) == {"text": "stopped by the audit", "tone": "bad"}
    assert "stopped the model" in render_report(stopped)
    assert decision_of(stopped) == "not published: the audit stopped it"
    assert f"- **out of bounds**: {FINDING.sentence}" in summarize(stopped)
    assert verdict_of(facts(decision=blessed))["text"] == "blessed"
    assert decision_of(facts(decision=blessed.model_copy(update={"published": "3"}))) == "published as version 3"


def test_figures_are_drawn_over_the_runs_that_know_them():
    def run(day: int, **figures: float) -> PastRun:
        when = WHEN + timedelta(days=day)
        return PastRun(when=when, recall=0.3, recall_popularity=0.1, blessed=True, audit=figures)

    history = [run(0), run(1, tied_share=0.2, moved_by_last=0.5), run(2, tied_share=0.3)]
    titles = [drawn["title"] for drawn in audit_section(facts(history=history))["charts"]]
    assert titles == ["Ratings that share user and second"]
    page = render_report(facts(history=history))
    assert "Line: Ratings that share user and second by run: no number; 0.200; 0.300." in page
    assert audit_section(facts())["charts"] == []


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 s"), (119, "119 s"), (120, "2 minutes"), (7_200, "2 hours")])
def test_times_are_shown_in_the_largest_unit_of_which_there_are_two(seconds: int, shown: str):
    data = audit().data
    waiting = data.model_copy(
        update={"train": data.train.model_copy(update={"median_wait_seconds": seconds, "long_wait_seconds": seconds})}
    )
    rows = audit_section(facts(audit=audit(data=waiting)))["data"]
    assert next(row.value for row in rows if "train label, median" in row.label) == f"{shown}, {shown}"
