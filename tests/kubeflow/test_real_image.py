"""The compiled pipeline in containers of the real image: user 1000, nothing writable but the mounts, no network.

`NEXT_MOVIE_IMAGE` names an image that was built from the Dockerfile and that podman has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import pytest
from executor import ConformingExecutor, RunResult
from test_compiled_pipeline_runs import Cluster, tasks_of

from serving.recommender import Recommender

pytestmark = [pytest.mark.engines, pytest.mark.slow]

IMAGE = os.environ.get("NEXT_MOVIE_IMAGE")


class ContainerExecutor(ConformingExecutor):
    """Runs each task's command in a container of its own; its mounts belong to another user, and are open to all."""

    def _execute(
        self, command: list[str], home: Path, mounts: Mapping[str, Path], variables: Mapping[str, str], output: TextIO
    ) -> int:
        folders = {f"/{name}": home / name for name in ("gcs", "s3", "minio")}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        places = {**folders, **mounts}
        for folder in places.values():
            subprocess.run(["chmod", "--recursive", "a+rwX", folder], check=True)
        options = [
            "--rm",
            "--user=1000:1000",
            "--network=none",
            "--read-only",
            "--tmpfs=/tmp:rw,mode=1777",
            "--cap-drop=all",
        ]
        options += ["--security-opt=no-new-privileges"]
        options += [f"--volume={folder}:{inside}" for inside, folder in places.items()]
        options += [f"--env={name}={value}" for name, value in variables.items()]
        # In the container the launcher's folders lie at the root.
        command = [part.replace(f"{home}/", "/") for part in command]
        return subprocess.run(
            ["podman", "run", *options, IMAGE, *command], stdout=output, stderr=subprocess.STDOUT, check=False
        ).returncode


class ContainerCluster(Cluster):
    """A cluster whose tasks run in containers."""

    def _executor(self, request: Mapping[str, Any], work: Path) -> ConformingExecutor:
        volumes, secrets = {"next-movie": self.volume}, {"hook": {"url": "http://127.0.0.1:9/nobody"}}
        return ContainerExecutor(request, self.store, volumes, work, self.release, self.cache, secrets)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> ContainerCluster:
    if IMAGE is None or shutil.which("podman") is None:
        pytest.skip("NEXT_MOVIE_IMAGE names no image, or there is no podman")
    return ContainerCluster.make(tmp_path_factory.mktemp("containers"), "2.17.0")


@pytest.fixture(scope="module")
def compiled(cluster: ContainerCluster) -> Path:
    return cluster.compile("contained", "minio://mlpipeline/v2/artifacts", webhook={"secret": "hook"})


@pytest.fixture(scope="module")
def first(cluster: ContainerCluster, compiled: Path) -> RunResult:
    code, result = cluster.run(compiled)
    assert (code, result.state) == (0, "SUCCEEDED"), {name: result.logs[name][-3000:] for name in result.failed}
    return result


def test_every_task_runs_in_the_image_and_a_model_is_published(
    cluster: ContainerCluster, compiled: Path, first: RunResult
):
    assert set(first.succeeded) == tasks_of(compiled)
    assert [folder.name for folder in cluster.serving.iterdir()] == ["1"]
    assert len(Recommender.load(cluster.serving / "1").recommend([], k=5)) == 5


def test_the_last_task_knows_the_decision_and_fails_nothing_where_nobody_is_reached(first: RunResult):
    line = json.loads(first.logs["Notify"].splitlines()[0])
    assert (line["state"], line["decision"]) == ("SUCCEEDED", "published as version 1")
    assert "not posted, attempt 3 of 3" in first.logs["Notify"]


def test_what_is_published_belongs_to_the_images_user(cluster: ContainerCluster, first: RunResult):
    assert {path.stat().st_uid for path in cluster.serving.rglob("*")} == {1000}


def test_the_image_holds_no_test_and_no_data(first: RunResult):
    listed = subprocess.run(
        ["podman", "run", "--rm", "--network=none", IMAGE, "ls", "/app"],
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout.split()
    assert {"data", "serving", "trainer_module", "components", "pipeline", "configs"} <= set(listed)
    assert not {"tests", "runs", "benchmarks", ".git"} & set(listed)
