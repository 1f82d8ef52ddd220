"""Running again: with nothing changed, with the data changed, from a step on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import tensorflow_model_analysis as tfma
from shared_run import OF_ANY_QUALITY

import history
from data.errors import InputError
from data.version import COMMIT_VARIABLE, __version__, commit
from pipeline.eval_config import BASELINE, CANDIDATE
from pipeline.runs.record import RunRecord
from serving.versions import published_versions

pytestmark = pytest.mark.slow

RESOLVERS = {"PreviousStatistics", "LatestBlessedModel"}
REPORTING = {"RunReport"}
ANOTHER_COMMIT = "c0ffee123456"


def worked(record: RunRecord) -> set[str]:
    """Return the steps that ran, but for the resolvers, which always look."""
    return {step.name for step in record.steps if step.state == "done"} - RESOLVERS


@dataclass(frozen=True)
class Rerun:
    record: RunRecord
    output: str
    versions: list[int]
    slices: dict[str, dict]
    pages: list[str]
    page: str
    index: str


@pytest.fixture(scope="module")
def second_and_third(sample_run) -> list[Rerun]:
    """Two more runs with nothing changed, the last of them by another commit."""
    runs = []
    folder = Path(sample_run.paths.metadata).parent
    with sample_run.put_back(), pytest.MonkeyPatch.context() as patch:
        for of_commit in (commit(), ANOTHER_COMMIT):
            patch.setenv(COMMIT_VARIABLE, of_commit)
            record, output = sample_run.run_again()
            # What lies in the work directory has to be read before it is put back.
            evaluation = str(record.outputs["Evaluator", "evaluation"].uri)
            slices = {
                name: dict(tfma.load_eval_result(evaluation, model_name=name).slicing_metrics)
                for name in (CANDIDATE, BASELINE)
            }
            pages = [page.name for page in folder.glob("reports/*.html")]
            page = (folder / "report.html").read_text(encoding="utf-8")
            index = (sample_run.work_dir / "index.html").read_text(encoding="utf-8")
            versions = published_versions(Path(sample_run.paths.serving))
            runs.append(Rerun(record, output, versions, slices, pages, page, index))
    return runs


def test_the_second_run_only_judges_the_model_against_the_first_runs(second_and_third):
    record, output = second_and_third[0].record, second_and_third[0].output
    assert "Evaluator" in worked(record)
    assert worked(record) <= {"Evaluator", "Pusher", *REPORTING}
    assert record.evaluation_result.evaluation.baseline["recall_at_10"] == pytest.approx(
        record.evaluation_result.evaluation.candidate["recall_at_10"]
    )
    assert "differs by +0.0000 from the last blessed model's" in output


def test_the_third_run_does_nothing_whatever_the_commit(second_and_third):
    record = second_and_third[1].record
    assert worked(record) == set()
    assert record.evaluation_result.blessed


def test_the_page_names_the_commit_of_the_run(sample_run, second_and_third):
    first = (Path(sample_run.paths.metadata).parent / "report.html").read_text(encoding="utf-8")
    for page, of_commit in ((first, commit()), (second_and_third[1].page, ANOTHER_COMMIT)):
        assert f"next-movie-retrieval {__version__} ({of_commit})" in page


def test_each_run_keeps_its_page_and_the_index_tells_them_apart(second_and_third):
    kept, index = second_and_third[1].pages, second_and_third[1].index
    assert len(kept) == 3
    assert index.count(">published</span></td>") == 3
    assert index.count("<td>cached</td>") == 1
    assert index.count(">nothing</td>") == index.count(">code</td>") == 1


def test_cached_steps_are_told(second_and_third):
    progress = second_and_third[1].output.partition("\nSteps")[0]
    assert [line.split() for line in progress.splitlines() if line.split()[:1] == ["Trainer"]] == [
        ["Trainer", "cached"]
    ]


def test_a_model_that_is_published_is_not_published_again(sample_run, second_and_third):
    for run in second_and_third:
        assert run.versions == [1]
        assert run.record.published == sample_run.model
        assert f"published: {sample_run.model}" in run.output


def test_candidate_and_baseline_are_cut_into_the_same_slices(second_and_third):
    candidate, baseline = second_and_third[0].slices[CANDIDATE], second_and_third[0].slices[BASELINE]
    assert set(candidate) == set(baseline)
    assert len(candidate) > 10
    for key in candidate:
        assert candidate[key][""][""]["recall_at_10"] == baseline[key][""][""]["recall_at_10"]


def test_a_run_may_begin_at_a_later_step(sample_run):
    with sample_run.put_back():
        record, output = sample_run.run_again(from_node="Evaluator", use_cache=False)
        assert record.evaluation_result.evaluation.baseline is not None, (
            "what the first run was compared with is out of date"
        )
        assert {"Evaluator", "Pusher"} <= worked(record)
        assert not worked(record) & {"ExampleGen", "Transform", "Trainer"}
        assert f"published: {sample_run.model}" in output


def test_after_old_runs_are_deleted_the_same_run_is_cached_and_another_one_judged_against_what_stayed(sample_run):
    values = OF_ANY_QUALITY
    with sample_run.put_back():
        sample_run.run_again(values=values)
        evaluation = sample_run.artifact("Evaluator", "evaluation")
        assert history.main(["gc", "--keep-runs", "1", "--work-dir", str(sample_run.work_dir)]) == 0
        assert not evaluation.exists()
        again, _ = sample_run.run_again(values=values)
        assert {"ExampleGen", "StatisticsGen", "Transform", "Trainer"}.isdisjoint(worked(again))
        newer, output = sample_run.run_again(values=[*values, "training.seed=5"])
        assert "Trainer" in worked(newer)
        assert "from the last blessed model's" in output
        assert published_versions(Path(sample_run.paths.serving)) == [1, 2, 3]
        page = (Path(sample_run.paths.metadata).parent / "report.html").read_text(encoding="utf-8")
        assert f"{sample_run.paths.serving}/3" in page


def test_an_unknown_step_is_answered_with_the_known_ones(sample_run):
    with sample_run.put_back(), pytest.raises(InputError, match=r"no step 'Trianer': take one of .*Trainer"):
        sample_run.run_again(from_node="Trianer")
