"""The executor that stands in for driver and launcher, held against what the real ones were seen to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from executor import EXECUTOR_LOGS, ConformingExecutor, Release, RunResult
from minimal_spec import minimal_documents
from object_store import ObjectStore, launcher_path

RECORDED = json.loads((Path(__file__).parent / "recorded_executor_input.json").read_text())
PRINT = ["-c", "import sys; print(sys.argv[1])", "{{$}}"]


def run(folder: Path, release: Release, arguments: list[str] = PRINT) -> RunResult:
    """Run a small pipeline whose tasks are all the same Python program."""
    spec, platform = minimal_documents()
    for executor in spec["deploymentSpec"]["executors"].values():
        if "container" in executor:
            executor["container"]["args"] = arguments
    request = {
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
        "runtime_config": {"pipeline_root": "minio://bucket/root"},
    }
    (folder / "claim").mkdir()
    return ConformingExecutor(
        request, ObjectStore(folder / "store"), {"claim": folder / "claim"}, folder / "work", release
    ).run()


def handed_over(result: RunResult, task: str) -> dict[str, Any]:
    return json.loads(result.logs[task])


def only(artifacts: dict[str, Any], name: str) -> dict[str, Any]:
    (artifact,) = artifacts[name]["artifacts"]
    return artifact


def test_a_task_is_handed_what_the_real_driver_of_2_17_writes(tmp_path: Path):
    result = run(tmp_path, "2.17.0")
    assert result.state == "SUCCEEDED", result.logs
    made, used = handed_over(result, "Make"), handed_over(result, "Use")
    assert made.keys() == used.keys() == RECORDED.keys()
    assert made["outputs"].keys() == RECORDED["outputs"].keys()

    given, recorded = (only(content["inputs"]["artifacts"], "model") for content in (used, RECORDED))
    assert given.keys() == recorded.keys()
    assert given["type"] == recorded["type"]
    # The version is TFX's own mark.
    assert given["metadata"].keys() == recorded["metadata"].keys() - {"tfx_version"}
    assert given["metadata"]["display_name"] == "made"

    output, recorded = only(made["outputs"]["artifacts"], "made"), only(RECORDED["outputs"]["artifacts"], "blessing")
    assert output.keys() == recorded.keys()
    assert output["name"] == "made"

    logs, recorded = (only(content["outputs"]["artifacts"], EXECUTOR_LOGS) for content in (made, RECORDED))
    # The launcher appends the attempt to what the driver wrote.
    assert logs.pop("uri") == f"{output['uri'].rpartition('/')[0]}/executor-logs-0"
    assert logs == {key: value for key, value in recorded.items() if key != "uri"}

    folder = recorded["uri"].rpartition("/")[0]
    assert str(launcher_path(f"{folder}/output_metadata.json", Path("/"))) == RECORDED["outputs"]["outputFile"]
    assert made["outputs"]["outputFile"].endswith(
        f"/minio/{output['uri'].removeprefix('minio://').rpartition('/')[0]}/output_metadata.json"
    )


def test_the_log_is_a_file_before_the_task_begins_and_is_uploaded(tmp_path: Path):
    result = run(tmp_path, "2.17.0")
    logs = result.outputs["Make"][EXECUTOR_LOGS]
    assert ObjectStore(tmp_path / "store").path(logs.uri).read_text() == result.logs["Make"]


def test_a_task_that_makes_a_folder_of_the_log_fails_as_on_a_cluster(tmp_path: Path):
    make_all = """
import json, os, pathlib, sys
for content in json.loads(sys.argv[1])["outputs"]["artifacts"].values():
    path = content["artifacts"][0]["uri"].replace("minio://", os.environ["NEXT_MOVIE_LAUNCHER_ROOT"] + "/minio/")
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)
"""
    result = run(tmp_path, "2.17.0", ["-c", make_all, "{{$}}"])
    assert result.failed == ["Make"]
    assert "FileExistsError" in result.logs["Make"]
    assert "executor-logs-0" in result.logs["Make"]


@pytest.mark.parametrize("task", ["Make", "Use"])
def test_before_2_5_a_task_is_handed_only_what_it_defines(tmp_path: Path, task: str):
    result = run(tmp_path, "2.4.0")
    assert result.state == "SUCCEEDED", result.logs
    assert EXECUTOR_LOGS not in handed_over(result, task)["outputs"].get("artifacts", {})
    assert EXECUTOR_LOGS not in result.outputs[task]


def test_without_ml_metadata_a_task_is_handed_no_session_of_the_store(tmp_path: Path):
    result = run(tmp_path, "next")
    assert result.state == "SUCCEEDED", result.logs
    assert only(handed_over(result, "Use")["inputs"]["artifacts"], "model")["metadata"] == {"display_name": "made"}
    assert EXECUTOR_LOGS in handed_over(result, "Make")["outputs"]["artifacts"]
