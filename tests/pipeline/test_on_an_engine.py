"""TFX's steps on an engine: Beam's own job server, and workers in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from beam_results import SPLITS, statistics, vocabulary
from beam_servers import engine, flags, jobs_done
from shared_run import OF_ANY_QUALITY, SampleRun

from components.naming import STATISTICS, TRANSFORM_GRAPH
from pipeline.runs.record import RunRecord

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Judged:
    """Two runs after the shared one: all from StatisticsGen on an engine, then the Evaluator in this process."""

    on_engine: RunRecord
    jobs: int
    here: RunRecord


@pytest.fixture(scope="module")
def judged(sample_run: SampleRun) -> Iterator[Judged]:
    with sample_run.put_back():
        with engine() as arguments:
            on_engine, _ = sample_run.run_again(
                from_node="StatisticsGen", beam_args=flags(arguments), values=OF_ANY_QUALITY
            )
            jobs = jobs_done(arguments)
        here, _ = sample_run.run_again(from_node="Evaluator", values=OF_ANY_QUALITY)
        yield Judged(on_engine, jobs, here)


def test_the_engine_did_the_work(judged: Judged):
    states = {step.name: step.state for step in judged.on_engine.steps}
    assert {states[name] for name in ("StatisticsGen", "Transform", "Evaluator")} == {"done"}
    assert judged.jobs >= 3


@pytest.mark.parametrize("split", SPLITS)
def test_statistics_are_those_of_the_run_in_this_process(sample_run: SampleRun, judged: Judged, split: str):
    here, there = (record.outputs[STATISTICS].uri for record in (sample_run.record, judged.on_engine))
    assert statistics(there, split) == statistics(here, split)


def test_the_vocabulary_is_that_of_the_run_in_this_process(sample_run: SampleRun, judged: Judged):
    here, there = (record.outputs[TRANSFORM_GRAPH].uri for record in (sample_run.record, judged.on_engine))
    assert vocabulary(there) == vocabulary(here)


def test_the_figures_of_one_model_agree_to_the_last_digit(judged: Judged):
    there, here = (record.evaluation_result.evaluation for record in (judged.on_engine, judged.here))
    of_candidate = set(there.candidate) & {name for name in here.candidate if not name.endswith("_diff")}
    assert len(of_candidate) > 20
    assert {name: str(there.candidate[name]) for name in of_candidate} == {
        name: str(here.candidate[name]) for name in of_candidate
    }
    assert there.slices.keys() == here.slices.keys()
    for of_slice, metrics in there.slices.items():
        assert str(metrics["mrr"]) == str(here.slices[of_slice]["mrr"])
