"""The proof: what `compile` writes and `submit` sends is run, task by task, as a cluster would run it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from api_server import ApiServer
from browser import chromium, open_browser
from executor import EXECUTOR_LOGS, IMAGE_COMMIT, Artifact, ConformingExecutor, ForkingExecutor, Release, RunResult
from object_store import ObjectStore
from server_rules import check_documents

import kubeflow_runner
from components.audit.figures import read_audit
from data.examples.manifest import Manifest
from data.identity import DataIdentity
from data.releases.sample import write_sample_release
from pipeline.kubeflow.backend_rules import read_documents
from pipeline.settings import CONFIG_FOLDER
from serving.export_record import RECORD_FILE, ExportRecord, read_record
from serving.versions import model_digest, read_publication

if TYPE_CHECKING:
    from shared_run import SampleRun

pytestmark = pytest.mark.slow

PIPELINE = "next-movie-default-sample-random"
SERVING = "next-movie-default-sample"
CLAIM = "next-movie"
ARCHIVE = "minio://mlpipeline/archives/sample.zip"

TOLERANCE = 0.03
"""Of a metric between 0 and 1: trainings that differ in nothing but their threads were seen 0.01 apart."""


@dataclass
class Cluster:
    """What outlives a run on a cluster, a place to write files, and the release of Kubeflow Pipelines there."""

    folder: Path
    release: Release
    cache: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    executor: type[ConformingExecutor] = ForkingExecutor

    @classmethod
    def make(cls, folder: Path, release: Release) -> Cluster:
        """Make one without anything on it."""
        (folder / "volume").mkdir()
        return cls(folder, release)

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.folder / "store")

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def serving(self) -> Path:
        return self.volume / "serving" / SERVING

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
            work = self.folder / "tasks" / compiled.stem
            results.append(self._executor(request, work).run())
            return results[0].state, results[0].error

        with ApiServer(execute) as server:
            code = kubeflow_runner.main(["submit", str(compiled), f"--host={server.url}", "--wait", *arguments])
        return code, results[0]

    def run_one_task(self, compiled: Path, task: str, earlier: RunResult | None = None, **parameters: Any) -> RunResult:
        """Run a task of a file on what an earlier run put out."""
        spec, platform = read_documents(compiled.read_text(encoding="utf-8"))
        request = {
            "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
            "runtime_config": {"pipeline_root": spec["defaultPipelineRoot"], "parameters": parameters},
        }
        work = self.folder / "tasks" / f"only-{task}"
        return self._executor(request, work).run(only=task, earlier=earlier)

    def _executor(self, request: dict[str, Any], work: Path) -> ConformingExecutor:
        return self.executor(request, self.store, {CLAIM: self.volume}, work, self.release, self.cache)

    def output(self, result: RunResult, task: str, key: str) -> Path:
        """Return where an output lies in the object store."""
        return self.store.path(result.outputs[task][key].uri)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Return a cluster on which nothing ran yet."""
    return Cluster.make(tmp_path_factory.mktemp("cluster"), "2.17.0")


@pytest.fixture(scope="session")
def planned_cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Return an empty cluster whose backend does without ML Metadata."""
    return Cluster.make(tmp_path_factory.mktemp("planned-cluster"), "next")


@pytest.fixture(scope="session")
def used_cluster(tmp_path_factory: pytest.TempPathFactory, sample_run: SampleRun) -> Cluster:
    """Return a cluster with a published model, kept statistics, and an archive in its object store.

    The model lies where earlier versions of the project published.
    """
    cluster = Cluster.make(tmp_path_factory.mktemp("used-cluster"), "2.4.0")
    shutil.copytree(sample_run.model, cluster.serving.with_name(PIPELINE) / sample_run.model.name)
    # As if an earlier run had counted otherwise: their name is made of another digest.
    kept = cluster.kept_statistics / "000007-of-others"
    shutil.copytree(sample_run.artifact("StatisticsGen", "statistics"), kept)
    manifest = Manifest.load(sample_run.artifact("ExampleGen", "examples"))
    (kept / "identity.json").write_text(DataIdentity.of(manifest).model_dump_json())
    release = cluster.folder / "release"
    write_sample_release(release)
    cluster.store.path(ARCHIVE).parent.mkdir(parents=True)
    with zipfile.ZipFile(cluster.store.path(ARCHIVE), "w") as archive:
        for path in sorted(release.iterdir()):
            archive.write(path, path.name)
    return cluster


@pytest.fixture(scope="session")
def compiled(cluster: Cluster) -> Path:
    return cluster.compile("first", "gs://bucket/root")


@pytest.fixture(scope="session")
def from_archive(used_cluster: Cluster) -> Path:
    return used_cluster.compile("later", "minio://mlpipeline/v2/artifacts", data_root=ARCHIVE)


@pytest.fixture(scope="session")
def runs(cluster: Cluster, used_cluster: Cluster, compiled: Path, from_archive: Path) -> list[RunResult]:
    """Run both, side by side, so that the tests take half the time."""
    with ThreadPoolExecutor() as pool:
        ends = [pool.submit(cluster.run, compiled), pool.submit(used_cluster.run, from_archive, "--epochs=1")]
        codes, results = zip(*(end.result() for end in ends), strict=True)
    for code, result in zip(codes, results, strict=True):
        assert (code, result.state) == (0, "SUCCEEDED"), {name: result.logs[name] for name in result.failed}
    return list(results)


@pytest.fixture(scope="session")
def first(runs: list[RunResult]) -> RunResult:
    """Return the run on the empty cluster of release 2.17.0, artifacts under gs://."""
    return runs[0]


@pytest.fixture(scope="session")
def later(runs: list[RunResult]) -> RunResult:
    """Return the run on the used cluster of 2.4.0, artifacts under minio://, from the archive, with fewer epochs."""
    return runs[1]


@pytest.fixture(scope="session")
def planned(planned_cluster: Cluster, compiled: Path) -> RunResult:
    """Return the run on the backend that is planned after 2.17.0."""
    code, result = planned_cluster.run(compiled)
    assert (code, result.state) == (0, "SUCCEEDED"), {name: result.logs[name] for name in result.failed}
    return result


def tasks_of(compiled: Path) -> set[str]:
    return set(check_documents(read_documents(compiled.read_text(encoding="utf-8"))).root.dag.tasks)


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
    from serving.recommender import Recommender

    recommender = Recommender.load(cluster.serving / "1")
    recommended = recommender.recommend([1, 2, 3], k=5)
    assert [movie.rank for movie in recommended] == [1, 2, 3, 4, 5]


def test_the_published_model_and_the_report_name_the_images_commit(cluster: Cluster, first: RunResult):
    assert read_publication(cluster.serving / "1")["commit"] == IMAGE_COMMIT
    assert f"({IMAGE_COMMIT})" in (cluster.output(first, "RunReport", "report") / "report.html").read_text()


def test_the_first_run_has_nothing_to_compare_with(cluster: Cluster, first: RunResult):
    assert first.outputs["LatestBlessedModel"]["model"].metadata["absent"] == 1
    assert first.outputs["LatestBlessedModel"]["passed_over"].metadata["absent"] == 1
    verdict = json.loads((cluster.output(first, "DataGate", "verdict") / "verdict.json").read_text())
    assert verdict["compared_with_previous"] is False


def test_its_metrics_are_those_of_a_run_on_this_machine(cluster: Cluster, first: RunResult, sample_run: SampleRun):
    is_close(
        metrics_of(cluster.output(first, "Evaluator", "evaluation")),
        metrics_of(sample_run.artifact("Evaluator", "evaluation")),
    )


def test_its_audit_is_that_of_a_run_on_this_machine(cluster: Cluster, first: RunResult, sample_run: SampleRun):
    audit = read_audit(cluster.output(first, "Audit", "record"))
    assert first.outputs["Audit"]["record"].metadata["passed"] == 1
    assert audit.data == sample_run.record.audit.data
    assert audit.behaviour.queries == sample_run.record.audit.behaviour.queries
    assert audit.findings == []


def test_its_examples_are_byte_for_byte_those_of_a_run_on_this_machine(
    cluster: Cluster, first: RunResult, sample_run: SampleRun
):
    there, here = cluster.output(first, "ExampleGen", "examples"), sample_run.artifact("ExampleGen", "examples")
    names = {path.relative_to(here) for path in here.rglob("*.gz")}
    assert names
    assert {path.relative_to(there) for path in there.rglob("*.gz")} == names
    for name in names:
        assert (there / name).read_bytes() == (here / name).read_bytes()


def test_what_the_backend_adds_to_a_tasks_outputs_is_left_to_it(cluster: Cluster, first: RunResult, later: RunResult):
    for task, log in first.logs.items():
        assert cluster.output(first, task, EXECUTOR_LOGS).read_text() == log
    assert not any(EXECUTOR_LOGS in outputs for outputs in later.outputs.values())


def test_artifacts_are_remote_wherever_the_backend_sees_them(first: RunResult, later: RunResult):
    for result, scheme in ((first, "gs://"), (later, "minio://")):
        for outputs in result.outputs.values():
            for artifact in outputs.values():
                assert artifact.uri.startswith(scheme)
                for value in artifact.metadata.values():
                    assert not isinstance(value, str) or "/tasks/" not in value


def test_the_example_gens_driver_ran(first: RunResult):
    assert "Calculated fingerprint" in first.logs["ExampleGen"]


def test_data_from_an_archive_in_the_object_store_run_as_well(from_archive: Path, later: RunResult):
    assert set(later.succeeded) == tasks_of(from_archive)
    assert "DataSource" in later.succeeded


def test_the_baseline_is_the_model_that_was_published_before(
    used_cluster: Cluster, later: RunResult, sample_run: SampleRun
):
    baseline = metrics_of(used_cluster.output(later, "Evaluator", "evaluation"), model_name="baseline")
    # The same model on the same examples: not a tolerance for training, but for the order of sums.
    assert baseline == pytest.approx(metrics_of(sample_run.artifact("Evaluator", "evaluation")), rel=1e-6)


def test_what_a_run_published_is_the_next_runs_baseline(cluster: Cluster, compiled: Path, first: RunResult):
    result = cluster.run_one_task(compiled, "LatestBlessedModel", earlier=first)
    handed_out = cluster.output(result, "LatestBlessedModel", "model") / "Format-Serving"
    assert model_digest(handed_out) == model_digest(cluster.serving / "1")
    assert result.outputs["LatestBlessedModel"]["passed_over"].metadata["absent"] == 1


def test_a_published_model_of_other_data_is_passed_over(cluster: Cluster, compiled: Path, first: RunResult):
    record_file = cluster.serving / "1" / RECORD_FILE
    kept = record_file.read_text()
    record = ExportRecord.model_validate_json(kept)
    other = record.data.model_copy(update={"source_digest": "of others"})
    record_file.write_text(record.model_copy(update={"data": other}).model_dump_json())
    try:
        result = cluster.run_one_task(compiled, "LatestBlessedModel", earlier=first)
    finally:
        record_file.write_text(kept)
    assert result.outputs["LatestBlessedModel"]["model"].metadata["absent"] == 1
    assert "compared with none: other data (the source's content changed)" in result.logs["LatestBlessedModel"]
    passed_over = cluster.output(result, "LatestBlessedModel", "passed_over") / "Format-Serving"
    assert read_record(passed_over).data == other


def test_versions_in_the_folder_of_an_earlier_version_are_gone_on_with(used_cluster: Cluster, later: RunResult):
    assert used_cluster.serving.is_symlink()
    assert used_cluster.serving.samefile(used_cluster.serving.with_name(PIPELINE))
    assert "going on with the versions in" in later.logs["LatestBlessedModel"]


def test_statistics_are_kept_once_the_gate_has_let_them_pass(cluster: Cluster, first: RunResult):
    (kept,) = cluster.kept_statistics.iterdir()
    file = Path("Split-train/FeatureStats.pb")
    assert (kept / file).read_bytes() == (cluster.output(first, "StatisticsGen", "statistics") / file).read_bytes()


def test_the_gate_compares_with_kept_statistics_of_the_same_data_identity(used_cluster: Cluster, later: RunResult):
    assert "absent" not in later.outputs["PreviousStatistics"]["previous"].metadata
    verdict = json.loads((used_cluster.output(later, "DataGate", "verdict") / "verdict.json").read_text())
    assert verdict["compared_with_previous"] is True
    assert {path.name[:7] for path in used_cluster.kept_statistics.iterdir()} == {"000007-", "000008-"}


def test_the_run_chose_its_epochs(first: RunResult, later: RunResult):
    assert '"epochs": 12,' in first.logs["Trainer"]
    assert '"epochs": 1,' in later.logs["Trainer"]


@pytest.mark.parametrize("task", ["DataGenerator", "StatisticsGen"])
def test_the_runs_options_for_beam_reach_the_executor(cluster: Cluster, compiled: Path, first: RunResult, task: str):
    result = cluster.run_one_task(compiled, task, earlier=first, beam_args="--runner=NoSuchRunner")
    assert result.failed == [task]
    assert "NoSuchRunner" in result.logs[task]


def test_data_are_generated_on_beam_through_a_temporary_location(
    cluster: Cluster, compiled: Path, first: RunResult, tmp_path: Path
):
    options = f"--direct_running_mode=multi_threading --temp_location={tmp_path}"
    result = cluster.run_one_task(compiled, "DataGenerator", earlier=first, beam_args=options)
    assert result.succeeded == ["DataGenerator"], result.logs
    on_beam, before = (cluster.output(run, "DataGenerator", "data") for run in (result, first))
    assert {path.name: path.read_bytes() for path in on_beam.iterdir()} == {
        path.name: path.read_bytes() for path in before.iterdir()
    }
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_falls_behind_the_published_one_is_not_published(used_cluster: Cluster, later: RunResult):
    assert later.outputs["Evaluator"]["blessing"].metadata["blessed"] == 0
    assert later.outputs["Pusher"]["pushed_model"].metadata["pushed"] == 0
    assert [path.name for path in used_cluster.serving.iterdir()] == ["1"]


@pytest.mark.parametrize("task", ["DataGenerator", "Transform", "RunPages"])
def test_a_task_in_a_process_of_its_own_ends_as_in_a_fork(
    cluster: Cluster, compiled: Path, first: RunResult, task: str
):
    fresh = dataclasses.replace(cluster, executor=ConformingExecutor, cache={})
    result = fresh.run_one_task(compiled, task, earlier=first)
    assert result.succeeded == [task], result.logs
    assert result.outputs[task].keys() == first.outputs[task].keys()
    for name, artifact in first.outputs[task].items():
        assert result.outputs[task][name].metadata == artifact.metadata


def test_a_failing_task_stops_the_run_and_is_named(
    used_cluster: Cluster, later: RunResult, from_archive: Path, capsys: pytest.CaptureFixture
):
    code, result = used_cluster.run(from_archive, "--data-root=minio://mlpipeline/archives/nothing-here.zip")
    assert code == 2
    assert result.failed == ["DataGenerator"]
    assert "ExampleGen" not in result.logs
    assert "the data source is empty" in result.logs["DataGenerator"]
    assert "ended as FAILED: task DataGenerator failed" in capsys.readouterr().err


def test_a_task_that_fails_is_tried_again_as_often_as_its_settings_say(cluster: Cluster, first: RunResult):
    retried = cluster.compile("retried", "gs://bucket/root", components={"DataGenerator": {"retries": 1}})
    documents = read_documents(retried.read_text())
    # Only the executor's own part is of interest here: a command that fails at once stands in for the task's.
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        executor["container"] |= {"command": ["false"], "args": []}
    retried.write_text(yaml.safe_dump_all(documents))
    for task, attempts in (("DataGenerator", 2), ("LatestBlessedModel", 1)):
        result = cluster.run_one_task(retried, task, earlier=first)
        assert (result.failed, result.attempts) == ([task], {task: attempts})


def test_kubeflows_pages_can_show_the_run(cluster: Cluster, first: RunResult):
    shown = first.outputs["RunPages"]
    pages = {name: cluster.store.path(shown[name].uri) for name in ("report_page", "statistics_page", "summary")}
    assert {name: path.name for name, path in pages.items()} == {
        "report_page": "report.html",
        "statistics_page": "statistics.html",
        "summary": "summary.md",
    }
    assert all(path.is_file() for path in pages.values())
    assert pages["summary"].read_text().startswith(f"# {PIPELINE}: published as version 1\n\n- met: ")
    metrics = dict(shown["metrics"].metadata.items())
    measured = metrics_of(cluster.output(first, "Evaluator", "evaluation"))
    for name in ("recall_at_1", "recall_at_5", "recall_at_10", "recall_at_100", "ndcg_at_10", "recall_at_10_lift"):
        assert metrics[name] == pytest.approx(measured[name])
    assert metrics["decision"] == "published as version 1"


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium")
@pytest.mark.parametrize("name", ["report_page", "statistics_page"])
def test_the_pages_need_nothing_but_themselves(cluster: Cluster, first: RunResult, tmp_path: Path, name: str):
    stored = cluster.store.path(first.outputs["RunPages"][name].uri)
    alone = tmp_path / stored.name
    shutil.copyfile(stored, alone)
    with open_browser(chromium() or "") as page:
        page.open(alone, width=1000)
        assert PIPELINE in page.evaluate("document.body.innerText")
        assert page.requests == [alone.as_uri()]
        assert page.complaints == []


def test_a_second_submission_runs_only_what_reads_the_volume_and_what_follows(
    cluster: Cluster, compiled: Path, first: RunResult
):
    code, second = cluster.run(compiled)
    assert (code, second.state) == (0, "SUCCEEDED"), second.logs
    assert first.cached == []
    assert set(second.cached) == {
        "DataGenerator",
        "ExampleGen",
        "StatisticsGen",
        "ExampleValidator",
        "Transform",
        "Trainer",
        "ServableCheck",
        "Audit",
    }
    assert set(second.succeeded) == tasks_of(compiled)


def test_without_ml_metadata_and_uris_of_metrics_everything_runs_shows_and_is_published_as_well(
    planned_cluster: Cluster, compiled: Path, planned: RunResult, sample_run: SampleRun
):
    assert set(planned.succeeded) == tasks_of(compiled)
    for inputs in (handed["inputs"] for handed in planned.handed_over.values()):
        for given in inputs.get("artifacts", {}).values():
            assert "store_session_info" not in given["artifacts"][0].get("metadata", {})
    shown = planned.outputs["RunPages"]
    assert shown["metrics"].uri == ""
    assert dict(shown["metrics"].metadata.items())["decision"] == "published as version 1"
    assert [path.name for path in planned_cluster.serving.iterdir()] == ["1"]
    is_close(
        metrics_of(planned_cluster.output(planned, "Evaluator", "evaluation")),
        metrics_of(sample_run.artifact("Evaluator", "evaluation")),
    )
