"""Today's compiled tasks, against what driver and launcher of Kubeflow Pipelines 2.17.0 were seen to hand to theirs.

`recorded_tasks.json` holds the `ExecutorInput` of each task of a whole run of the sample pipeline with the real driver
and launcher, an object store and ML Metadata. Folders of runs and tasks and the store's session are shortened; of the
parameters the names were kept. The components have moved on since: what is compared is what the backend adds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from executor import EXECUTOR_LOGS, ConformingExecutor, RunResult
from object_store import ObjectStore

from pipeline.kubeflow.backend_rules import read_documents
from pipeline.kubeflow.entrypoint import localize
from pipeline.settings import load_settings

pytestmark = pytest.mark.slow

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded_tasks.json").read_text())
RENAMED_TASKS: dict[str, str] = {}
"""Today's names of tasks that had another one when they were recorded."""
RENAMED_PARAMETERS = {"source_digest": "code_digest"}
ADDED_SINCE = {"Audit", "RunPages"}
PAIRS = [(name, RENAMED_TASKS.get(name, name)) for name in RECORDED]
DRIVERS_OWN = {"display_name", "store_session_info"}
"""What the driver writes into the metadata of an input artifact."""


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    from pipeline.kubeflow.compiling import compile_pipeline

    return read_documents(compile_pipeline(load_settings("sample"), image="registry.example/image:1"))


@pytest.fixture(scope="module")
def stand_in(documents: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Run today's pipeline, with nothing as each task's command: only what they are handed is looked at."""
    content = json.loads(json.dumps(documents))
    for executor in content[0]["deploymentSpec"]["executors"].values():
        executor["container"] |= {"command": ["true"], "args": []}
    request = {
        "pipeline_spec": {"pipeline_spec": content[0], "platform_spec": content[1]},
        "runtime_config": {"pipeline_root": "minio://mlpipeline/root"},
    }
    folder = tmp_path_factory.mktemp("stand-in")
    executor = ConformingExecutor(request, ObjectStore(folder / "store"), {"next-movie": folder}, folder / "work")
    result = executor.run()
    assert result.state == "SUCCEEDED", result.logs
    return result


def component_of(documents: list[dict[str, Any]], task: str) -> dict[str, Any]:
    spec = documents[0]
    return spec["components"][spec["root"]["dag"]["tasks"][task]["componentRef"]["name"]]


def outputs_of(documents: list[dict[str, Any]], task: str) -> dict[str, Any]:
    return component_of(documents, task).get("outputDefinitions", {}).get("artifacts", {})


def place(uri: str) -> str:
    """Return a URI or path below its run's folder, without what is made anew for each task."""
    inside = re.sub(r"^.*?mlpipeline/root/(run|[^/]+/[0-9a-f-]{36})/", "", uri)
    return re.sub(r"(?<=/)[0-9a-f]{8}-[0-9a-f-]{27}(?=/)", "uuid", inside)


def only(artifacts: dict[str, Any], name: str) -> dict[str, Any]:
    (artifact,) = artifacts[name]["artifacts"]
    return artifact


def test_every_task_was_recorded_but_those_added_since(documents: list[dict[str, Any]]):
    assert {today for _, today in PAIRS} | ADDED_SINCE == set(documents[0]["root"]["dag"]["tasks"])


@pytest.mark.parametrize(("recorded_name", "today"), PAIRS)
def test_what_the_backend_adds_to_a_task_is_left_alone(documents: list[dict[str, Any]], recorded_name: str, today: str):
    recorded, defined = RECORDED[recorded_name], outputs_of(documents, today)
    folder = f"minio://mlpipeline/root/run/{today}/uuid"
    added = {name: content for name, content in recorded["outputs"]["artifacts"].items() if name == EXECUTOR_LOGS}
    own = {
        name: {"artifacts": [{"name": name, "type": definition["artifactType"], "uri": f"{folder}/{name}"}]}
        for name, definition in defined.items()
    }
    inputs_spec = component_of(documents, today).get("inputDefinitions", {})
    invocation = {
        "inputs": {"artifacts": json.loads(json.dumps(recorded["inputs"].get("artifacts", {})))},
        "outputs": {"artifacts": {**own, **added}, "outputFile": recorded["outputs"]["outputFile"]},
    }
    localize(invocation, inputs_spec, "/launcher", list(defined))
    assert set(added) == {EXECUTOR_LOGS}
    assert set(invocation["outputs"]["artifacts"]) == set(defined)
    artifacts = {**invocation["inputs"]["artifacts"], **invocation["outputs"]["artifacts"]}
    for name in artifacts:
        assert only(artifacts, name)["uri"].startswith("/launcher/minio/mlpipeline/root/run/")
        assert only(artifacts, name)["type"].get("instanceSchema") or only(artifacts, name)["type"]["schemaTitle"]
    absent = {
        name
        for name, content in recorded["inputs"].get("artifacts", {}).items()
        if content["artifacts"][0]["metadata"].get("absent")
    }
    assert set(recorded["inputs"].get("artifacts", {})) - set(invocation["inputs"]["artifacts"]) == absent


@pytest.mark.parametrize(("recorded_name", "today"), PAIRS)
def test_the_stand_in_hands_over_what_was_recorded(stand_in: RunResult, recorded_name: str, today: str):
    recorded, handed = RECORDED[recorded_name], stand_in.handed_over[today]
    names = {RENAMED_PARAMETERS.get(name, name) for name in recorded["inputs"]["parameterNames"]}
    assert names <= handed["inputs"]["parameterValues"].keys()

    for name, content in recorded["inputs"].get("artifacts", {}).items():
        (expected,), given = content["artifacts"], only(handed["inputs"]["artifacts"], name)
        assert given.keys() == expected.keys()
        assert given["name"].isdecimal()
        assert expected["name"].isdecimal()
        assert given["type"] == expected["type"] == {"instanceSchema": ""}
        assert given["metadata"].keys() == expected["metadata"].keys() & DRIVERS_OWN == DRIVERS_OWN
        assert given["metadata"]["display_name"] == expected["metadata"]["display_name"]
        assert place(given["uri"]) == place(expected["uri"])

    for name, content in recorded["outputs"]["artifacts"].items():
        (expected,), given = content["artifacts"], only(handed["outputs"]["artifacts"], name)
        assert given.keys() == expected.keys()
        assert (given["name"], given["type"]) == (expected["name"], expected["type"])
        # Between driver and command the launcher appends the attempt to its own file.
        attempt = "-0" if name == EXECUTOR_LOGS else ""
        assert place(given["uri"]) == place(expected["uri"]) + attempt
    assert handed["outputs"].keys() == recorded["outputs"].keys()
    assert place(handed["outputs"]["outputFile"]) == place(recorded["outputs"]["outputFile"])


def test_after_ml_metadata_a_metrics_artifact_may_have_no_uri_and_nothing_needs_one():
    invocation: dict[str, Any] = {
        "inputs": {"artifacts": {"report": {"artifacts": [{"name": "1", "uri": "minio://b/r", "novel": {"a": 1}}]}}},
        "outputs": {
            "artifacts": {"metrics": {"artifacts": [{"name": "metrics", "type": {"schemaTitle": "system.Metrics"}}]}},
            "outputFile": "/minio/b/output_metadata.json",
            "novel": "field",
        },
    }
    spec = {"artifacts": {"report": {"artifactType": {"instanceSchema": "title: next_movie.RunReport\n"}}}}
    localize(invocation, spec, "/", ["metrics"])
    metrics = only(invocation["outputs"]["artifacts"], "metrics")
    assert metrics["uri"] == ""
    assert "components.artifacts.ScalarMetrics" in metrics["type"]["instanceSchema"]
