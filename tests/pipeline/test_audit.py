"""The audit as a step of real runs: what it measures of the sample, and what becomes of a finding."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from forked_runs import check_in_a_fork
from shared_run import OF_ANY_QUALITY

import local_runner
from components.audit.run_audit import asker, run_audit
from components.audit.windows import ExampleFolder
from components.gate_settings import AuditSettings
from data.splits import SPLIT_NAMES
from pipeline.runs.history import read_history
from pipeline.settings import CONFIG_FOLDER, load_settings
from serving.recommender import Recommender
from serving.versions import published_versions

pytestmark = pytest.mark.slow

FINDING = "another last movie changes "
OUT_OF_BOUNDS = "audit.min_moved_by_last=1"


@pytest.fixture(scope="module")
def examples(sample_run) -> ExampleFolder:
    return ExampleFolder.load(str(sample_run.artifact("ExampleGen", "examples")))


@pytest.fixture(scope="module")
def recommender(sample_run) -> Recommender:
    return Recommender.load(sample_run.model)


def test_the_sample_has_no_finding_and_the_summary_says_nothing_of_it(sample_run):
    assert sample_run.record.audit.findings == []
    assert "\nAudit" not in sample_run.output.partition("Metrics on the eval split")[2]


def test_what_is_asked_of_the_export_is_what_it_answers(sample_run, examples, recommender):
    """Count the misses and the overlaps once more, query by query, with the lists that people get."""
    behaviour = sample_run.record.audit.behaviour
    windows = [
        ([movie for movie in context if movie], label)
        for part in examples.windows("eval")
        for context, label in zip(part.context.tolist(), part.label.tolist(), strict=True)
    ]
    drawn = np.random.default_rng(42).permutation(len(windows))[:2000]
    asked = [windows[row] for row in sorted(drawn)]
    ids = examples.catalogue.ids.tolist()
    answers = recommender.recommend_batch([[ids[code - 1] for code in context] for context, _ in asked])
    answered = [{movie.movie_id for movie in answer} for answer in answers]

    misses = [ids[label - 1] not in movies for (_, label), movies in zip(asked, answered, strict=True)]
    assert behaviour.queries == len(asked) == 2000
    assert behaviour.miss_rate == pytest.approx(np.mean(misses), abs=1e-3)

    shown = Counter(movie for movies in answered for movie in movies)
    pairs = sum(count * (count - 1) for count in shown.values()) / (2000 * 1999 * 10)
    assert behaviour.answer_overlap == pytest.approx(pairs, abs=1e-3)

    turned = recommender.recommend_batch([[ids[code - 1] for code in context[::-1]] for context, _ in asked])
    kept = [
        len({movie.movie_id for movie in after} & before) / 10
        for (context, _), before, after in zip(asked, answered, turned, strict=True)
        if len(context) > 1
    ]
    assert behaviour.moved_by_order == pytest.approx(1 - np.mean(kept), abs=1e-3)


def test_the_sample_s_order_matters_as_it_is_made_to(sample_run):
    behaviour = sample_run.record.audit.behaviour
    # The next movie follows from the order of the last two.
    assert behaviour.moved_by_order > 0.6
    assert behaviour.moved_by_last > 0.3
    assert behaviour.moved_by_drop < behaviour.moved_by_order


def test_equal_seeds_give_equal_figures_and_others_other_ones(examples, recommender):
    ask = asker(recommender, examples.catalogue)
    first, again, other = (
        run_audit(examples, ask, AuditSettings(queries=300, seed=seed)).behaviour for seed in (1, 1, 2)
    )
    assert first == again
    assert first.moved_by_drop != other.moved_by_drop


def test_the_audit_is_an_artifact_of_examples_and_model(sample_run):
    folder = sample_run.artifact("Audit", "record")
    assert json.loads((folder / "audit.json").read_text())["mode"] == "warn"
    assert sample_run.record.outputs["Audit", "record"].properties["passed"] == 1


@pytest.mark.parametrize(("mode", "is_told"), [("note", False), ("warn", True)])
def test_a_finding_is_noted_or_told_and_the_model_published_all_the_same(sample_run, mode, is_told):
    with sample_run.put_back():
        record, output = sample_run.run_again(values=[OUT_OF_BOUNDS, f"audit.mode={mode}"])
        page = (Path(sample_run.paths.metadata).parent / "report.html").read_text()
        history = read_history(record)
    assert [finding.kind for finding in record.audit.findings] == ["min_moved_by_last"]
    assert (f"\nAudit\n  - {FINDING}" in output) is is_told
    assert record.published is not None
    assert FINDING in page
    assert {step.name for step in record.steps if step.state == "done"} >= {"Audit", "RunReport"}
    assert {step.name: step.state for step in record.steps}["Trainer"] == "cached"
    # Both runs judged one model, of which the newest audit counts.
    assert [run.audit["moved_by_last"] for run in history] == [record.audit.behaviour.moved_by_last] * 2
    assert "Line: Answer moved by another last movie by run" in page


def test_a_finding_stops_the_model_where_the_settings_say_so_and_the_run_ends_with_code_3(sample_run, capsys):
    with sample_run.put_back():
        arguments = ["--release", "sample", "--work-dir", str(sample_run.work_dir)]
        # Another model than the published one, that nothing but the audit stops.
        values = [f"--set={value}" for value in (*OF_ANY_QUALITY, OUT_OF_BOUNDS, "audit.mode=stop")]
        with check_in_a_fork():
            code = local_runner.main([*arguments, *values])
        output = capsys.readouterr().out
        page = (Path(sample_run.paths.metadata).parent / "report.html").read_text()
        assert published_versions(Path(sample_run.paths.serving)) == [1]
    assert code == 3
    assert f"\nAudit: the model is not published\n  - {FINDING}" in output
    assert "not published; what was served before still is" in output
    assert "stopped by the audit" in page
    assert "stopped the model" in page


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))
def test_configurations_leave_the_audit_as_it_is(name: str):
    assert load_settings(name).audit == AuditSettings()


def test_every_split_is_known_to_keep_users_orders_or_not():
    from data.splits import STRATEGIES

    assert {name: STRATEGIES[name].keeps_users_order for name in SPLIT_NAMES} == {
        "random": False,
        "leave_one_out": True,
        "temporal": True,
        "global_time": True,
        "global_time_last": True,
    }
