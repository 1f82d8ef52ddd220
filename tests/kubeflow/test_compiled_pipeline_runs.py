"""The proof: what `compile` writes and `submit` sends is run, task by task, as a cluster would run it."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from api_server import ApiServer
from executor import ConformingExecutor, RunResult
from object_store import ObjectStore

import kubeflow_runner
from data.sample import write_sample_release
from pipeline.kubeflow.backend_rules import check_documents, read_documents
from pipeline.settings import CONFIG_FOLDER

if TYPE_CHECKING:
    from shared_run import SampleRun

pytestmark = pytest.mark.slow

PIPELINE = "next-movie-default-sample-random"
CLAIM = "next-movie"
ARCHIVE = "minio://mlpipeline/archives/sample.zip"

TOLERANCE = 0.03
"""Of a metric between 0 and 1: trainings that differ in nothing but their threads were seen 0.01 apart."""


@dataclass
class Cluster:
    """What outlives a run on a cluster, and a place to write files."""

    folder: Path

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.folder / "store")

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def serving(self) -> Path:
        return self.volume / "serving" / PIPELINE

    @property
    def kept_statistics(self) -> Path:
        return self.volume / "statistics" / PIPELINE

    def compile(self, name: str, pipeline_root: str, **kubeflow: Any) -> Path:
        """Compile the sample's configuration with settings for the cluster."""
        content = yaml.safe_load((CONFIG_FOLDER / "sample.yaml").read_text())
        config = self.folder / f"{name}-config.yaml"
        config.write_text(yaml.safe_dump({**content, "kubeflow": kubeflow}))
        compiled = self.folder / f"{name}.yaml"
        arguments = [f"--config={config}", "--image=registry.example/next-movie:1", f"--output={compiled}"]
        assert kubeflow_runner.main(["compile", *arguments, f"--pipeline-root={pipeline_root}"]) == 0
        return compiled

    def run(self, compiled: Path, *arguments: str) -> tuple[int, RunResult]:
        """Submit a file, run what the API server received, and return the command's code and the run."""
        results: list[RunResult] = []

        def execute(request: dict[str, Any]) -> tuple[str, str | None]:
            work = self.folder / "work" / compiled.stem
            results.append(ConformingExecutor(request, self.store, {CLAIM: self.volume}, work).run())
            return results[0].state, results[0].error

        with ApiServer(execute) as server:
            code = kubeflow_runner.main(["submit", str(compiled), f"--host={server.url}", "--wait", *arguments])
        return code, results[0]

    def output(self, result: RunResult, task: str, key: str) -> Path:
        """Return where an output lies in the object store."""
        return self.store.path(result.outputs[task][key].uri)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "volume").mkdir()
    return Cluster(folder)


@pytest.fixture(scope="session")
def compiled(cluster: Cluster) -> Path:
    return cluster.compile("first", "gs://bucket/root", components={"StatisticsGen": {"retries": 1}})


@pytest.fixture(scope="session")
def first(cluster: Cluster, compiled: Path) -> RunResult:
    """Run on an empty cluster, artifacts under gs://."""
    code, result = cluster.run(compiled)
    assert (code, result.state) == (0, "SUCCEEDED"), result.logs
    return result


@pytest.fixture(scope="session")
def from_archive(cluster: Cluster) -> Path:
    return cluster.compile("second", "minio://mlpipeline/v2/artifacts", data_root=ARCHIVE)


@pytest.fixture(scope="session")
def second(cluster: Cluster, first: RunResult, from_archive: Path) -> RunResult:
    """Run again, artifacts under minio://, data from an archive in the object store, with choices of its own."""
    release = cluster.folder / "release"
    write_sample_release(release)
    cluster.store.path(ARCHIVE).parent.mkdir(parents=True)
    with zipfile.ZipFile(cluster.store.path(ARCHIVE), "w") as archive:
        for path in sorted(release.iterdir()):
            archive.write(path, path.name)
    # As if a run on other data had been in between: its statistics are alike, but not the same.
    shutil.copytree(cluster.output(first, "StatisticsGen", "statistics"), cluster.kept_statistics / "000002-of-others")
    code, result = cluster.run(from_archive, "--epochs=1")
    assert (code, result.state) == (0, "SUCCEEDED"), result.logs
    return result


def tasks_of(compiled: Path) -> set[str]:
    return set(check_documents(read_documents(compiled.read_text())).root.dag.tasks)


def metrics_of(evaluation: Path, model_name: str | None = None) -> dict[str, float]:
    import tensorflow_model_analysis as tfma

    result = tfma.load_eval_result(str(evaluation), model_name=model_name)
    (overall,) = [metrics for key, metrics in result.slicing_metrics if key == ()]
    return {name: value["doubleValue"] for name, value in overall[""][""].items()}


def is_close(measured: dict[str, float], expected: dict[str, float]) -> None:
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        allowed = TOLERANCE * max(1.0, abs(value)) * (3 if "lift" in name else 1)
        assert measured[name] == pytest.approx(value, abs=allowed), name


def test_every_node_runs_from_data_to_published_model(compiled: Path, first: RunResult):
    assert set(first.succeeded) == tasks_of(compiled)
    assert first.failed == []


def test_the_published_model_recommends(cluster: Cluster, first: RunResult):
    from trainer_module.recommender import Recommender

    recommender = Recommender.load(cluster.serving / "1")
    recommended = recommender.recommend([1, 2, 3], k=5)
    assert [movie.rank for movie in recommended] == [1, 2, 3, 4, 5]


def test_the_first_run_has_nothing_to_compare_with(cluster: Cluster, first: RunResult):
    assert first.outputs["LatestBlessedModel"]["model"].metadata["absent"] == 1
    verdict = json.loads((cluster.output(first, "DataGate", "verdict") / "verdict.json").read_text())
    assert verdict["compared_with_previous"] is False


def test_its_metrics_are_those_of_a_run_on_this_machine(cluster: Cluster, first: RunResult, sample_run: SampleRun):
    is_close(
        metrics_of(cluster.output(first, "Evaluator", "evaluation")),
        metrics_of(sample_run.artifact("Evaluator", "evaluation")),
    )


def test_its_examples_are_byte_for_byte_those_of_a_run_on_this_machine(
    cluster: Cluster, first: RunResult, sample_run: SampleRun
):
    there, here = cluster.output(first, "ExampleGen", "examples"), sample_run.artifact("ExampleGen", "examples")
    names = {path.relative_to(here) for path in here.rglob("*.gz")}
    assert names
    assert {path.relative_to(there) for path in there.rglob("*.gz")} == names
    for name in names:
        assert (there / name).read_bytes() == (here / name).read_bytes()


def test_artifacts_are_remote_wherever_the_backend_sees_them(first: RunResult, second: RunResult):
    for result, scheme in ((first, "gs://"), (second, "minio://")):
        for outputs in result.outputs.values():
            for artifact in outputs.values():
                assert artifact.uri.startswith(scheme)
                for value in artifact.metadata.values():
                    assert not isinstance(value, str) or "/work/" not in value


def test_the_example_gens_driver_ran(first: RunResult):
    assert "Calculated fingerprint" in first.logs["ExampleGen"]


def test_data_from_an_archive_in_the_object_store_run_as_well(from_archive: Path, second: RunResult):
    assert set(second.succeeded) == tasks_of(from_archive)
    assert "DataSource" in second.succeeded


def test_the_second_runs_baseline_is_the_model_that_the_first_published(
    cluster: Cluster, first: RunResult, second: RunResult
):
    baseline = metrics_of(cluster.output(second, "Evaluator", "evaluation"), model_name="baseline")
    is_close(baseline, metrics_of(cluster.output(first, "Evaluator", "evaluation")))


def test_the_gate_compares_with_statistics_of_other_data_that_an_earlier_run_kept(cluster: Cluster, second: RunResult):
    assert "absent" not in second.outputs["PreviousStatistics"]["previous"].metadata
    verdict = json.loads((cluster.output(second, "DataGate", "verdict") / "verdict.json").read_text())
    assert verdict["compared_with_previous"] is True
    assert {path.name[:7] for path in cluster.kept_statistics.iterdir()} == {"000001-", "000002-"}


def test_the_run_chose_its_epochs(first: RunResult, second: RunResult):
    assert '"epochs": 12,' in first.logs["Trainer"]
    assert '"epochs": 1,' in second.logs["Trainer"]


def test_the_runs_options_for_beam_reach_the_executor(cluster: Cluster, compiled: Path, first: RunResult):
    request = {
        "pipeline_spec": read_documents(compiled.read_text())[0],
        "runtime_config": {"pipeline_root": "gs://bucket/root", "parameters": {"beam_args": "--runner=NoSuchRunner"}},
    }
    executor = ConformingExecutor(request, cluster.store, {}, cluster.folder / "work" / "one-task")
    result = executor.run(only="StatisticsGen", earlier=first)
    assert result.failed == ["StatisticsGen"]
    assert "NoSuchRunner" in result.logs["StatisticsGen"]


def test_a_model_that_falls_behind_the_published_one_is_not_published(cluster: Cluster, second: RunResult):
    assert second.outputs["Evaluator"]["blessing"].metadata["blessed"] == 0
    assert second.outputs["Pusher"]["pushed_model"].metadata["pushed"] == 0
    assert [path.name for path in cluster.serving.iterdir()] == ["1"]


def test_a_failing_task_stops_the_run_and_is_named(
    cluster: Cluster, second: RunResult, from_archive: Path, capsys: pytest.CaptureFixture
):
    code, result = cluster.run(from_archive, "--data-root=minio://mlpipeline/archives/nothing-here.zip")
    assert code == 2
    assert result.failed == ["DataGenerator"]
    assert "ExampleGen" not in result.logs
    assert "the data source is empty" in result.logs["DataGenerator"]
    assert "ended as FAILED: task DataGenerator failed" in capsys.readouterr().err


def test_a_task_that_fails_is_tried_again_as_often_as_its_settings_say(cluster: Cluster):
    compiled = cluster.compile(
        "retried", "gs://bucket/root", data_root="gs://bucket/nothing", components={"DataGenerator": {"retries": 1}}
    )
    documents = read_documents(compiled.read_text())
    # Only the executor's own part is of interest here: a command that fails at once stands in for the task's.
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        if "container" in executor:
            executor["container"] |= {"command": ["false"], "args": []}
    request = {"pipeline_spec": documents[0], "runtime_config": {"pipeline_root": "gs://bucket/root"}}
    result = ConformingExecutor(request, cluster.store, {CLAIM: cluster.volume}, cluster.folder / "work").run()
    assert result.attempts["DataGenerator"] == 2
    assert result.attempts["LatestBlessedModel"] == 1
