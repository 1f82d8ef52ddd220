from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.finding import Finding
from components.report.load_run import RunArtifacts, load_run
from components.report.report_model import DataGateFacts

pytestmark = pytest.mark.slow

WRITTEN = {
    "findings": [{"kind": "drift", "split": "train", "feature": "label_movie_id", "reason": "0.4 > 0.02"}],
    "distances": {"label_movie_id: L_INFTY": 0.4},
    "unseen_label_share": None,
    "compared_with_previous": True,
}


def gathered(folder: Path, verdict: dict) -> DataGateFacts | None:
    (folder / "verdict.json").write_text(json.dumps(verdict))
    return load_run(RunArtifacts(verdict=folder), "p", {}).data_gate


def test_a_verdict_from_before_it_said_what_was_not_compared_is_read(tmp_path: Path) -> None:
    facts = gathered(tmp_path, WRITTEN)

    assert facts is not None
    assert facts.not_compared == {}
    assert facts.distances == {"label_movie_id: L_INFTY": 0.4}


def test_a_finding_of_an_earlier_verdict_is_read_in_todays_form(tmp_path: Path) -> None:
    facts = gathered(tmp_path, WRITTEN)

    assert facts is not None
    assert facts.findings == [Finding(kind="drift", what="0.4 > 0.02", where=("train", "label_movie_id"))]


def test_what_a_verdict_says_was_not_compared_is_a_fact(tmp_path: Path) -> None:
    facts = gathered(tmp_path, {**WRITTEN, "not_compared": {"context_movie_id": "20 values, 10 before"}})

    assert facts is not None
    assert facts.not_compared == {"context_movie_id": "20 values, 10 before"}
