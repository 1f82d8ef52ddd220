"""The compiled pipeline with its artifacts in a real object store, uploaded and downloaded as the launcher does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from executor import EXECUTOR_LOGS, ConformingExecutor, RunResult
from seaweedfs import S3Store, running_store
from test_compiled_pipeline_runs import Cluster, tasks_of

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import engines  # noqa: E402

from serving.versions import model_digest  # noqa: E402

pytestmark = [pytest.mark.engines, pytest.mark.slow]

BUCKET = "mlpipeline"
PIPELINE_ROOT = f"minio://{BUCKET}/v2/artifacts"


@dataclass
class StoreCluster(Cluster):
    """A cluster whose objects lie in SeaweedFS."""

    objects: S3Store | None = None

    @property
    def store(self) -> S3Store:
        return self.objects


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreCluster]:
    """Give a cluster with an empty bucket, on which nothing ran yet."""
    try:
        program = engines.find("weed")
    except engines.EngineUnavailableError as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("store-cluster")
    (folder / "volume").mkdir()
    (folder / "seaweedfs").mkdir()
    with running_store(program, folder / "seaweedfs", BUCKET) as objects:
        # As on a cluster, each task has a process of its own.
        yield StoreCluster(folder, "2.17.0", executor=ConformingExecutor, objects=objects)


@pytest.fixture(scope="module")
def compiled(cluster: StoreCluster) -> Path:
    return cluster.compile("stored", PIPELINE_ROOT)


@pytest.fixture(scope="module")
def first(cluster: StoreCluster, compiled: Path) -> RunResult:
    code, result = cluster.run(compiled)
    assert (code, result.state) == (0, "SUCCEEDED"), {name: result.logs[name] for name in result.failed}
    return result


def test_what_is_stored_under_a_uri_comes_back_as_it_was(cluster: StoreCluster, tmp_path: Path):
    folder = tmp_path / "folder"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b" / "c[1]*?.txt").write_bytes(b"\x00\xff")
    (folder / "empty").write_bytes(b"")
    cluster.store.put(folder, f"minio://{BUCKET}/kept/one")
    # A key that begins alike is another folder's.
    cluster.store.put(folder / "empty", f"minio://{BUCKET}/kept/one-more/empty")
    copy = cluster.store.path(f"minio://{BUCKET}/kept/one")
    assert {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob("*") if path.is_file()} == {
        "a b/c[1]*?.txt": b"\x00\xff",
        "empty": b"",
    }
    assert not cluster.store.path(f"minio://{BUCKET}/kept/two").exists()


def test_every_task_runs_with_its_artifacts_in_the_store(compiled: Path, first: RunResult):
    assert set(first.succeeded) == tasks_of(compiled)
    for outputs in first.outputs.values():
        assert all(artifact.uri.startswith(f"{PIPELINE_ROOT}/") for artifact in outputs.values())


def test_the_published_model_is_the_one_that_the_trainer_stored(cluster: StoreCluster, first: RunResult):
    stored = cluster.output(first, "Trainer", "model") / "Format-Serving"
    assert model_digest(stored) == model_digest(cluster.serving / "1")


def test_reports_verdicts_and_logs_are_in_the_store(cluster: StoreCluster, first: RunResult):
    assert (cluster.output(first, "RunReport", "report") / "report.html").read_text().startswith("<!doctype html>")
    verdict = json.loads((cluster.output(first, "DataGate", "verdict") / "verdict.json").read_text())
    assert verdict["compared_with_previous"] is False
    assert cluster.output(first, "Trainer", EXECUTOR_LOGS).read_text() == first.logs["Trainer"]


def test_a_second_submission_runs_only_what_reads_the_volume_and_what_follows(
    cluster: StoreCluster, compiled: Path, first: RunResult
):
    code, second = cluster.run(compiled)
    assert (code, second.state) == (0, "SUCCEEDED"), {name: second.logs[name] for name in second.failed}
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
    assert [path.name for path in cluster.serving.iterdir()] == ["1"], "the model is published already"
