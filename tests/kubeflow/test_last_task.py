"""The last task of a run says how the run ended, whatever became of it, and fails nothing itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from executor import Artifact, ConformingExecutor, RunResult
from front_server import front
from google.protobuf.struct_pb2 import Struct
from object_store import ObjectStore
from server_rules import check_documents

from data.errors import InputError
from pipeline.kubeflow import notify
from pipeline.kubeflow.backend_rules import read_documents
from pipeline.kubeflow.task_states import (
    FAILED,
    RUNNING,
    SUCCEEDED,
    RunEnd,
    TaskState,
    conclude,
    locate,
    read_states,
    write_state,
)
from pipeline.settings import load_settings, with_values

PIPELINE = "next-movie-default-sample-random"
DONE = TaskState(SUCCEEDED)


@pytest.mark.parametrize(
    ("states", "end"),
    [
        ({"A": DONE, "B": DONE, "C": DONE}, RunEnd(SUCCEEDED)),
        ({"B": DONE, "C": DONE}, RunEnd(SUCCEEDED)),
        ({"A": DONE, "B": TaskState(FAILED, "no data"), "C": DONE}, RunEnd(FAILED, "B", "no data")),
        ({"A": TaskState(FAILED, "first"), "B": TaskState(FAILED, "then")}, RunEnd(FAILED, "A", "first")),
    ],
    ids=["all ended", "one came from the cache", "one failed", "the first that failed"],
)
def test_a_run_ends_as_its_tasks_did(states: dict[str, TaskState], end: RunEnd):
    assert conclude(states, ["A", "B", "C"], never_cached=["B", "C"]) == end


def test_a_task_that_was_killed_or_never_began_fails_the_run():
    killed = conclude({"A": TaskState(RUNNING)}, ["A", "B"], never_cached=["B"])
    assert (killed.state, killed.failed_task) == (FAILED, "A")
    assert "killed" in killed.reason
    missing = conclude({"A": DONE}, ["A", "B"], never_cached=["B"])
    assert (missing.state, missing.failed_task) == (FAILED, "B")
    assert "never began" in missing.reason


def test_a_run_whose_first_task_finds_nothing_to_do_ends_well_without_the_others():
    end = conclude({"A": TaskState(SUCCEEDED, ends_run=True)}, ["A", "B"], never_cached=["A", "B"])
    assert end == RunEnd(SUCCEEDED, metrics={"decision": "nothing to do"})


def test_the_run_and_the_task_are_found_in_an_outputs_uri():
    assert locate(["", "gs://b/p/x/p/run-1/Trainer/77/model"], "p") == ("run-1", "Trainer")
    assert locate(["minio://b/root/p/run-1/Pusher/pushed"], "p") == ("run-1", "Pusher")
    assert locate(["minio://b/other/run-1/Pusher/pushed", "minio://b/p/", "minio://b/p/only"], "p") is None


def test_states_are_read_as_they_were_written_and_damaged_ones_are_left_out(tmp_path: Path):
    state = TaskState(FAILED, "a reason", {"recall_at_10": 0.5, "decision": "not published"})
    write_state(tmp_path, "run", "A", TaskState(RUNNING))
    write_state(tmp_path, "run", "A", state)
    (tmp_path / "run" / "B.json").write_text("{", encoding="utf-8")
    (tmp_path / "run" / "C.json").write_text('{"other": 1}', encoding="utf-8")
    assert read_states(tmp_path, "run") == {"A": state}
    assert read_states(tmp_path, "another run") == {}


def ask(states: Path, *options: str) -> int:
    outputs = {"artifacts": {"place": {"artifacts": [{"uri": f"minio://b/root/{states.name}/run-1/Notify/7/place"}]}}}
    given = [f"--executor_input={json.dumps({'outputs': outputs})}", f"--states={states}", "--tasks=A,B"]
    return notify.main([*given, "--never_cached=B", *options])


def test_one_line_of_json_says_how_the_run_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    states = tmp_path / "p"
    write_state(states, "run-1", "A", DONE)
    write_state(states, "run-1", "B", TaskState(SUCCEEDED, metrics={"decision": "published as version 3"}))
    posted: list[bytes] = []
    monkeypatch.setattr(notify, "post", lambda address, content: posted.append(content))
    assert ask(states, "--page=https://kfp.example/") == 0
    (line,) = posted
    assert json.loads(line) == {
        "pipeline": "p",
        "run_id": "run-1",
        "state": "SUCCEEDED",
        "decision": "published as version 3",
        "failed_step": None,
        "reason": None,
        "link": "https://kfp.example/#/runs/details/run-1",
    }
    assert b"\n" not in line
    assert capsys.readouterr().out == line.decode() + "\n"


def test_it_fails_where_the_run_did_and_for_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    states = tmp_path / "p"
    write_state(states, "run-1", "B", DONE)
    monkeypatch.setenv(notify.WEBHOOK_VARIABLE, "file:///etc/passwd")
    assert ask(states) == 0
    assert "holds no http:// or https:// address" in capsys.readouterr().err
    write_state(states, "run-1", "A", TaskState(FAILED, "no data"))
    assert ask(states) == 1


def test_an_address_that_does_not_answer_is_tried_again_and_never_shown(capsys):
    statuses = iter([500, 503, 200])
    with front(lambda _: (next(statuses), {}, b"")) as server:
        assert notify.post(f"{server.url}/secret", b"{}", pause_seconds=0)
    assert not notify.post("http://127.0.0.1:9/secret", b"{}", pause_seconds=0)
    assert not notify.post("http://[::1/secret", b"{}", pause_seconds=0)
    printed = capsys.readouterr()
    assert "the answer is 503" in printed.err
    assert "secret" not in printed.out + printed.err


def compiled(**values: Any) -> list[dict[str, Any]]:
    # TFX takes its time to load.
    from pipeline.kubeflow.compiling import compile_pipeline

    webhook = {"kubeflow.webhook": {"secret": "hook", "page": "https://kfp.example"}}
    settings = with_values(load_settings("sample"), {**webhook, **values})
    return read_documents(compile_pipeline(settings, image="registry.example/next-movie:1"))


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return compiled()


@pytest.mark.slow
def test_the_last_task_waits_for_all_and_every_task_leaves_its_state(documents):
    check_documents(documents)
    tasks = documents[0]["root"]["dag"]["tasks"]
    assert set(tasks["Notify"]["dependentTasks"]) == set(tasks) - {"Notify"}
    assert tasks["Notify"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    pods = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, executor in documents[0]["deploymentSpec"]["executors"].items():
        assert f"--states=/mnt/next-movie/states/{PIPELINE}" in executor["container"]["args"], name
        assert pods[name]["pvcMount"] == [{"constant": "next-movie", "mountPath": "/mnt/next-movie"}]
    address = {"secretKey": "url", "envVar": "NEXT_MOVIE_WEBHOOK"}
    assert pods["Notify_executor"]["secretAsEnv"] == [{"secretName": "hook", "keyToEnv": [address]}]
    assert [name for name in pods if "secretAsEnv" in pods[name]] == ["Notify_executor"]


@pytest.mark.slow
def test_the_last_task_has_settings_like_any_other_but_is_not_tried_again():
    settings = {"kubeflow.defaults": {"cpu": 1, "retries": 2}, "kubeflow.components": {"Notify": {"memory_gb": 1}}}
    documents = compiled(**settings)
    container = documents[0]["deploymentSpec"]["executors"]["Notify_executor"]["container"]
    assert container["image"] == "registry.example/next-movie:1"
    assert container["resources"] == {"cpuLimit": 1, "cpuRequest": 1, "memoryLimit": 1, "memoryRequest": 1}
    assert "retryPolicy" not in documents[0]["root"]["dag"]["tasks"]["Notify"]
    with pytest.raises(InputError, match="names Notify, but the pipeline's components are"):
        compiled(**settings, **{"kubeflow.webhook": None})


@pytest.mark.slow
def test_without_a_webhook_there_is_no_such_task():
    documents = compiled(**{"kubeflow.webhook": None})
    assert "Notify" not in documents[0]["root"]["dag"]["tasks"]
    assert "--states" not in json.dumps(documents)


@pytest.mark.slow
def test_vertex_has_no_secret_for_it():
    from pipeline.kubeflow.compiling import compile_pipeline

    settings = with_values(load_settings("sample"), {"kubeflow.webhook": {"secret": "hook"}})
    with pytest.raises(InputError, match=r"^Vertex has no secrets for kubeflow.webhook"):
        compile_pipeline(settings, image="i", backend="vertex", pipeline_root="gs://b/r")


class PartlyIdleExecutor(ConformingExecutor):
    """Runs the first and the last task; the others leave a state and put out nothing."""

    def _launch(self, name, attempt, component, container, inputs, result) -> dict[str, Artifact]:
        if name in ("DataGenerator", "Notify"):
            return super()._launch(name, attempt, component, container, inputs, result)
        run_id = self.root.rpartition("/")[2]
        metrics = {"decision": "published as version 1"} if name == "RunPages" else {}
        write_state(
            self.volumes["next-movie"] / "states" / PIPELINE, run_id, name, TaskState(SUCCEEDED, metrics=metrics)
        )
        return {key: Artifact(key, "", Struct()) for key in component.output_definitions.artifacts}


def submit(documents: list[dict[str, Any]], folder: Path, address: str) -> RunResult:
    request = {
        "pipeline_spec": {"pipeline_spec": documents[0], "platform_spec": documents[1]},
        "runtime_config": {"pipeline_root": "minio://mlpipeline/root"},
    }
    (folder / "volume").mkdir()
    store, volumes = ObjectStore(folder / "store"), {"next-movie": folder / "volume"}
    return PartlyIdleExecutor(request, store, volumes, folder / "work", secrets={"hook": {"url": address}}).run()


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_a_run_is_posted_whether_it_ends_well_or_not(documents, tmp_path: Path, fails: bool):
    bodies: list[dict[str, Any]] = []

    def answer(request):
        bodies.append(json.loads(request.body))
        return 200, {}, b""

    data = {"kubeflow.data_root": "minio://mlpipeline/nothing-here"} if fails else {}
    with front(answer) as server:
        result = submit(compiled(**data) if fails else documents, tmp_path, f"{server.url}/hook")
    (posted,) = bodies
    assert posted["pipeline"] == PIPELINE
    assert posted["link"].startswith("https://kfp.example/#/runs/details/")
    if fails:
        assert (result.state, set(result.failed)) == ("FAILED", {"DataGenerator", "Notify"})
        assert (posted["state"], posted["failed_step"], posted["decision"]) == ("FAILED", "DataGenerator", None)
        assert "[G09]" in posted["reason"]
    else:
        assert result.state == "SUCCEEDED", result.logs
        assert (posted["state"], posted["decision"]) == ("SUCCEEDED", "published as version 1")
        assert posted["failed_step"] is posted["reason"] is None
