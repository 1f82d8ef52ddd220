"""TFX's steps on Prism, Beam's runner in Go, each by itself on what a run in this process left.

Prism 2.64, the version of Beam's, confuses the coders of jobs in which a Flatten joins collections of different ones
(https://github.com/apache/beam/issues/34587): those of TFDV and TFMA. Later versions don't.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from beam_results import SPLITS, metrics, statistics, vocabulary
from beam_servers import built, prism_server, states_of_jobs
from shared_run import SampleRun
from tfx.orchestration.pipeline import RunOptions

from components.evaluation.evaluation_result import read_evaluation
from components.naming import (
    EVALUATION,
    EVALUATOR,
    STATISTICS,
    STATISTICS_GEN,
    TRANSFORM,
    TRANSFORM_GRAPH,
    UNPADDED_STATISTICS,
)
from data.examples.manifest import Manifest
from pipeline.local import lay_out
from pipeline.partial_run import FreshNodeRunner
from pipeline.pipeline import create_pipeline
from pipeline.runs.record import RunRecord, read_run_record

pytestmark = [pytest.mark.engines, pytest.mark.slow]

OF_BEAMS_VERSION, LATER = "prism", "later-prism"

FAULTS = (
    "unknown coder urn key: beam:coder:pickled_python:v1",
    "panic: runtime error: index out of range [0] with length 0",
)
"""What comes of it, by chance one or the other: an error that the client is told, or the end of Prism."""

Step = Callable[[str, str], AbstractContextManager[RunRecord]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return where Prism says what happens."""
    return tmp_path / "prism.log"


@pytest.fixture
def run_on(sample_run: SampleRun, log: Path) -> Step:
    """Return what runs a step on an engine; its outputs are there until the block ends."""

    @contextmanager
    def run(engine: str, step: str) -> Iterator[RunRecord]:
        program = built(engine)
        data = Path(sample_run.paths.data_root)
        with sample_run.put_back(), prism_server(program, log) as port:
            beam_args = ["--runner=PrismRunner", f"--job_endpoint=localhost:{port}"]
            paths = lay_out(sample_run.settings, Manifest.load(data), data, sample_run.work_dir, beam_args)
            graph = create_pipeline(sample_run.settings, paths)
            FreshNodeRunner(step).run(graph, run_options=RunOptions(from_nodes=[step], to_nodes=[step]))
            assert states_of_jobs(port) == ["DONE"]
            yield read_run_record(paths.local_metadata, sample_run.settings.model_gate)

    return run


def test_a_later_prism_gives_the_statistics_of_this_process(sample_run: SampleRun, run_on: Step) -> None:
    with run_on(LATER, STATISTICS_GEN) as there:
        for output in (STATISTICS, UNPADDED_STATISTICS):
            assert there.folder(output) != sample_run.artifact(*output)
            for split in SPLITS:
                assert statistics(there.folder(output), split) == statistics(sample_run.artifact(*output), split)


@pytest.mark.parametrize("engine", [OF_BEAMS_VERSION, LATER])
def test_any_prism_gives_the_vocabulary_of_this_process(sample_run: SampleRun, run_on: Step, engine: str) -> None:
    with run_on(engine, TRANSFORM) as there:
        assert there.folder(TRANSFORM_GRAPH) != sample_run.artifact(*TRANSFORM_GRAPH)
        assert vocabulary(there.folder(TRANSFORM_GRAPH)) == vocabulary(sample_run.artifact(*TRANSFORM_GRAPH))


def test_a_later_prism_gives_the_metrics_of_this_process(sample_run: SampleRun, run_on: Step) -> None:
    with run_on(LATER, EVALUATOR) as there:
        assert there.folder(EVALUATION) != sample_run.artifact(*EVALUATION)
        ours, theirs = (
            read_evaluation(folder) for folder in (sample_run.artifact(*EVALUATION), there.folder(EVALUATION))
        )
        assert metrics(theirs) == pytest.approx(metrics(ours), rel=1e-9)


# Beam's worker in this process has lost its server.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("step", [STATISTICS_GEN, EVALUATOR])
def test_the_prism_of_beams_version_confuses_the_coders_of(run_on: Step, log: Path, step: str) -> None:
    with pytest.raises(Exception) as error, run_on(OF_BEAMS_VERSION, step):
        pass

    told = " ".join(f"{error.value} {log.read_text(encoding='utf-8')}".split())
    assert [fault for fault in FAULTS if fault in told], told
