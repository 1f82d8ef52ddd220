from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.spans.ledger import SpanRecord, keep_record, read_ledger
from pipeline.kubeflow.entrypoint import globalize, localize
from pipeline.kubeflow.run_parameters import apply_epochs, mentions_epochs, take_beam_args
from pipeline.kubeflow.uris import to_local, to_remote

ROOT = Path(__file__).resolve().parent.parent.parent

MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}


def invocation(**parameters: Any) -> dict[str, Any]:
    """Return what a launcher hands over: no types on the inputs, remote URIs, and parameters as JSON has them."""
    return {
        "inputs": {
            "artifacts": {"model": {"artifacts": [{"name": "7", "uri": "minio://bucket/run/model", "metadata": {}}]}},
            "parameterValues": parameters,
        },
        "outputs": {
            "artifacts": {"made": {"artifacts": [{"type": dict(MODEL), "uri": "minio://bucket/run/made"}]}},
            "outputFile": "/kfp/outputs/output_metadata.json",
        },
    }


INPUTS_SPEC = {"artifacts": {"model": {"artifactType": dict(MODEL)}}}


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://bucket/a/b", "/gcs/bucket/a/b"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("minio://bucket/a b/ü.zip", "/minio/bucket/a b/ü.zip"),
    ],
)
@pytest.mark.parametrize("launcher_root", ["/", "/launcher", "/launcher/"])
def test_uris_and_the_launchers_paths_turn_into_each_other(uri: str, path: str, launcher_root: str):
    local = to_local(uri, launcher_root)
    assert local == ("" if launcher_root == "/" else "/launcher") + path
    assert to_remote(local, launcher_root) == uri


@pytest.mark.parametrize("text", ["/mnt/volume/serving/1", "/gcsx/a", "gsutil", "", "http://host/gcs/a"])
def test_what_is_neither_uri_nor_launcher_path_stays(text: str):
    assert to_local(text) == text
    assert to_remote(text) == text


def test_artifacts_become_local_and_get_the_types_of_the_component():
    task = invocation()
    localize(task, INPUTS_SPEC, "/launcher")
    (given,) = task["inputs"]["artifacts"]["model"]["artifacts"]
    (made,) = task["outputs"]["artifacts"]["made"]["artifacts"]
    assert given["uri"] == "/launcher/minio/bucket/run/model"
    assert given["type"] == MODEL
    assert made["uri"] == "/launcher/minio/bucket/run/made"
    assert task["outputs"]["outputFile"] == "/kfp/outputs/output_metadata.json"


def test_an_artifact_that_stands_for_several_spans_becomes_an_artifact_for_each_in_their_order():
    task = invocation()
    (given,) = task["inputs"]["artifacts"]["model"]["artifacts"]
    given["metadata"] = {"spans": "[12, 3]", "split_names": '["train"]'}
    localize(task, INPUTS_SPEC, "/")
    parts = task["inputs"]["artifacts"]["model"]["artifacts"]
    assert [part["uri"] for part in parts] == [f"/minio/bucket/run/model/span-{span}" for span in (12, 3)]
    assert [part["metadata"]["custom:span"] for part in parts] == [12, 3]
    assert {part["metadata"]["split_names"] for part in parts} == {'["train"]'}
    assert all(part["type"] == MODEL for part in parts)
    assert len({part["name"] for part in parts}) == 2


def recorded() -> dict[str, Any]:
    """Return what the launcher of Kubeflow Pipelines 2.17.0 handed to ServableCheck."""
    return json.loads((Path(__file__).parent / "recorded_executor_input.json").read_text())


def test_outputs_that_the_component_does_not_define_are_left_alone():
    task = recorded()
    assert set(task["outputs"]["artifacts"]) == {"blessing", "executor-logs"}
    localize(task, INPUTS_SPEC, "/launcher", ["blessing"])
    assert set(task["outputs"]["artifacts"]) == {"blessing"}
    assert task["outputs"]["artifacts"]["blessing"]["artifacts"][0]["uri"].startswith("/launcher/minio/mlpipeline/")


def test_a_component_without_outputs_has_none_whatever_the_backend_adds():
    task = recorded()
    localize(task, INPUTS_SPEC, "/", [])
    assert task["outputs"]["artifacts"] == {}


def test_output_parameters_that_the_component_does_not_define_are_left_alone():
    task = recorded()
    task["outputs"]["parameters"] = {"added": {"outputFile": "/added"}, "made": {"outputFile": "/made"}}
    localize(task, INPUTS_SPEC, "/", ["made"])
    assert set(task["outputs"]["parameters"]) == {"made"}


def test_a_file_that_was_compiled_without_names_of_outputs_has_them_all():
    task = invocation()
    localize(task, INPUTS_SPEC, "/")
    assert set(task["outputs"]["artifacts"]) == {"made"}


def test_inputs_that_the_component_does_not_define_are_left_out():
    task = recorded()
    task["inputs"]["artifacts"]["added"] = {"artifacts": [{"name": "9", "uri": "minio://bucket/run/added"}]}
    task["inputs"]["artifacts"]["none"] = {"artifacts": []}
    localize(task, INPUTS_SPEC, "/", ["blessing"])
    assert set(task["inputs"]["artifacts"]) == {"model"}


def test_fields_that_are_not_known_change_nothing():
    task, with_more = recorded(), recorded()
    (model,) = with_more["inputs"]["artifacts"]["model"]["artifacts"]
    for place in (with_more, with_more["inputs"], with_more["outputs"], model):
        place["added"] = {"later": 1}
    model["metadata"]["added"] = {"later": 1}
    assert localize(task, INPUTS_SPEC, "/", ["blessing"]) == localize(with_more, INPUTS_SPEC, "/", ["blessing"])
    for place in (with_more, with_more["inputs"], with_more["outputs"], model, model["metadata"]):
        assert place.pop("added") == {"later": 1}
    assert with_more == task


def test_a_type_of_our_own_becomes_the_class_that_tfx_has_to_import():
    task = invocation()
    localize(
        task, {"artifacts": {"model": {"artifactType": {"instanceSchema": "title: next_movie.DataVerdict\n"}}}}, "/"
    )
    (given,) = task["inputs"]["artifacts"]["model"]["artifacts"]
    assert yaml.safe_load(given["type"]["instanceSchema"]) == {"title": "components.artifacts.DataVerdict"}


def test_an_absent_artifact_is_no_input():
    task = invocation()
    task["inputs"]["artifacts"]["model"]["artifacts"][0]["metadata"] = {"absent": 1.0}
    localize(task, INPUTS_SPEC, "/")
    assert task["inputs"]["artifacts"] == {}


def test_generated_data_stands_in_for_the_input_base_of_an_example_gen():
    task = invocation(input_base="", input_config="{}")
    task["inputs"]["artifacts"] = {"data": {"artifacts": [{"name": "1", "uri": "gs://bucket/run/data"}]}}
    spec = {"artifacts": {"data": {"artifactType": {"instanceSchema": "title: next_movie.GeneratedData\n"}}}}
    localize(task, spec, "/")
    assert task["inputs"]["parameterValues"]["input_base"] == "/gcs/bucket/run/data"


def test_a_task_without_inputs_is_fine():
    task = {"outputs": {"outputFile": "gs://bucket/out.json"}}
    assert localize(task, {}, "/") == []
    assert task["outputs"]["outputFile"] == "/gcs/bucket/out.json"


def test_outputs_become_remote_everywhere_and_lose_their_nulls():
    output = {
        "artifacts": {
            "made": {
                "artifacts": [
                    {
                        "uri": "/gcs/bucket/run/made",
                        "metadata": {"from": "/gcs/bucket/run/model", "place": "/mnt/x/1", "gone": None, "n": 1.0},
                    }
                ]
            }
        }
    }
    assert globalize(output, "/") == {
        "artifacts": {
            "made": {
                "artifacts": [
                    {
                        "uri": "gs://bucket/run/made",
                        "metadata": {"from": "gs://bucket/run/model", "place": "/mnt/x/1", "n": 1.0},
                    }
                ]
            }
        }
    }


def test_beam_arguments_of_the_run_are_taken_out_and_split_as_a_shell_would():
    task = invocation(run_beam_args="--runner=DirectRunner '--name=two words'", other="x")
    assert localize(task, INPUTS_SPEC, "/") == ["--runner=DirectRunner", "--name=two words"]
    assert task["inputs"]["parameterValues"] == {"other": "x"}


def test_no_beam_arguments_are_none():
    assert take_beam_args({"run_beam_args": ""}) == []
    assert take_beam_args({}) == []


def test_epochs_of_the_run_go_wherever_a_setting_says_epochs():
    parameters: dict[str, Any] = {
        "run_epochs": 2.0,
        "custom_config": json.dumps({"publication": {"training": {"epochs": 9, "seed": 1}}, "training": {"epochs": 9}}),
        "text": "epochs",
        "broken": "{training",
        "number": 3.0,
    }
    apply_epochs(parameters)
    assert json.loads(parameters.pop("custom_config")) == {
        "publication": {"training": {"epochs": 2, "seed": 1}},
        "training": {"epochs": 2},
    }
    assert parameters == {"text": "epochs", "broken": "{training", "number": 3.0}


@pytest.mark.parametrize(
    ("value", "mentions"),
    [
        ('{"training": {"epochs": 9}}', True),
        ('{"training": {}}', False),
        ('{"epochs": 9}', False),
        ("[1]", False),
        (3, False),
    ],
)
def test_only_tasks_with_training_settings_are_told_the_epochs(value: object, mentions: bool):
    assert mentions_epochs({"settings": value}) is mentions


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)


ABORTING_TASK = """
import atexit, os
from pipeline.kubeflow import entrypoint
atexit.register(os.abort)
def task(*_):
    {body}
entrypoint.run_task = task
entrypoint.main(["--executor_class_path", "x", "--json_serialized_invocation_args", "{{}}"])
"""


@pytest.mark.parametrize(("code", "outcome"), [("G13", "refused"), ("G17", "refused"), ("M09", "begun")])
def test_a_refusal_is_kept_with_its_reason_and_another_failure_is_not(tmp_path: Path, code: str, outcome: str):
    keep_record(tmp_path, 4, SpanRecord(outcome="begun", manifest_digest="a"))
    task = invocation()
    task["inputs"]["artifacts"]["statistics"] = {"artifacts": [{"metadata": {"custom:span": 4.0}}]}
    program = (
        "from data.errors import InputError; from pipeline.kubeflow import entrypoint\n"
        f"def task(*_): raise InputError('other data', {code!r})\n"
        "entrypoint.run_task = task\n"
        f"entrypoint.main(['--executor_class_path=x', '--ledger={tmp_path}', "
        f"'--json_serialized_invocation_args', {json.dumps(task)!r}])"
    )
    finished = run_python(program)
    assert (finished.returncode, finished.stderr) == (2, f"error: other data [{code}]\n")
    kept = read_ledger(tmp_path)[4]
    assert (kept.outcome, kept.reason) == (outcome, f"other data [{code}]" if outcome == "refused" else "")


def test_an_abort_at_exit_does_not_turn_success_into_failure():
    finished = run_python(ABORTING_TASK.format(body="print('done')"))
    assert (finished.returncode, finished.stdout) == (0, "done\n")


def test_an_abort_at_exit_does_not_hide_a_failure():
    finished = run_python(ABORTING_TASK.format(body="raise RuntimeError('broken')"))
    assert finished.returncode == 1
    assert "RuntimeError: broken" in finished.stderr


def test_an_input_error_is_one_line():
    finished = run_python(
        ABORTING_TASK.format(body="from data.errors import InputError; raise InputError('no data', 'G01')")
    )
    assert (finished.returncode, finished.stderr) == (2, "error: no data [G01]\n")
