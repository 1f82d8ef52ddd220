"""TFX's steps on Prism, Beam's runner in Go: one works, and two end in errors that a later engine may mend."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from beam_servers import ROOT, serving, worker_environment
from shared_run import SampleRun

sys.path.insert(0, str(ROOT / "tools"))

import engines

from pipeline.local import StepFailedError
from pipeline.runs.record import read_run_record
from trainer_module.preprocessing import VOCABULARY

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@dataclass(frozen=True)
class Prism:
    """A server that runs, Beam's options for it, and what it wrote."""

    beam_args: list[str]
    log: Path


@pytest.fixture
def prism(tmp_path: Path) -> Iterator[Prism]:
    try:
        program = engines.find("prism")
    except engines.EngineUnavailableError as reason:
        pytest.skip(str(reason))
    log = tmp_path / "prism.log"
    with serving([str(program), "--serve_http=false"], "--job_port", worker_environment(), log) as port:
        # Workers in this process, so that the engine's own words are not mixed with theirs.
        flags = ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK"]
        yield Prism(flags, log)


def failure(sample_run: SampleRun, node: str, prism: Prism) -> str:
    """Run from a node on, and return what ended the run."""
    with pytest.raises(StepFailedError) as failed:
        sample_run.run_again(from_node=node, beam_args=prism.beam_args, values=["training.epochs=1"])
    return str(failed.value)


def test_transform_gives_the_vocabulary_and_the_evaluator_ends_at_keys_without_a_standard_coder(
    sample_run: SampleRun, prism: Prism
):
    with sample_run.put_back():
        assert failure(sample_run, "Transform", prism).startswith("step Evaluator failed: ")
        assert "unknown coder urn key: beam:coder:pickled_python:v1" in prism.log.read_text()
        record = read_run_record(sample_run.paths.metadata, sample_run.settings.model_gate)
        assert next(step.state for step in record.steps if step.name == "Transform") == "done"
        here, there = (
            (found.outputs["Transform", "transform_graph"].uri / "transform_fn/assets" / VOCABULARY).read_bytes()
            for found in (sample_run.record, record)
        )
    assert there == here


def test_statistics_gen_ends_at_tfdvs_keys_without_a_standard_coder(sample_run: SampleRun, prism: Prism):
    with sample_run.put_back():
        # Where the engine panics, the client sees no more than that the server is gone.
        assert failure(sample_run, "StatisticsGen", prism).startswith("step StatisticsGen failed: ")
    # Which of its faults comes first differs from run to run.
    refused, panic = "unknown coder urn key: beam:coder:pickled_python:v1", "index out of range [0] with length 0"
    assert re.search(f"{re.escape(refused)}|{re.escape(panic)}", prism.log.read_text())
