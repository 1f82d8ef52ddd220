"""What is checked before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from minimal_spec import minimal_documents

from pipeline.kubeflow.backend_rules import RefusedError, check_documents, check_run

Documents = list[dict[str, Any]]


def kubernetes(documents: Documents) -> dict[str, Any]:
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["use"]


def container(documents: Documents) -> dict[str, Any]:
    return documents[0]["deploymentSpec"]["executors"]["use"]["container"]


def mode(documents: Documents, value: str) -> None:
    documents[0]["root"]["dag"]["tasks"]["Use"]["inputs"]["parameters"]["mode"] = {"runtimeValue": {"constant": value}}


BREAKS: dict[str, tuple[str, Callable[[Documents], Any]]] = {
    "a job in place of a bare spec": ("bare PipelineSpec", lambda d: d.__setitem__(0, {"pipelineSpec": d[0]})),
    "an unknown field": ("can't be parsed", lambda d: d[0].update(colour="red")),
    "a name with an underscore": ("'a_b'", lambda d: d[0].update(pipelineInfo={"name": "a_b"})),
    "an unknown setting for Kubernetes": (
        "the settings of use for Kubernetes hold 'nodeSelektor'",
        lambda d: kubernetes(d).update(nodeSelektor={}),
    ),
    "negative memory": (
        "memoryLimit of task use is -1, and can't be negative",
        lambda d: container(d).update(resources={"memoryLimit": -1.0}),
    ),
    "an argument that no command takes": (
        "an argument of task use has 131072 bytes",
        lambda d: container(d).update(args=["x" * 131072]),
    ),
    "a parameter that no command takes": (
        "the parameter 'mode' of task Use has 131072 bytes",
        lambda d: mode(d, "x" * 131072),
    ),
    "a file that no cluster keeps": (
        "a cluster keeps no more than 1500000",
        lambda d: container(d).update(args=["x" * 131071] * 12),
    ),
}


@pytest.mark.parametrize(("message", "break_it"), BREAKS.values(), ids=BREAKS.keys())
def test_a_file_that_can_not_run_is_refused_in_one_line(message: str, break_it: Callable[[Documents], Any]):
    documents = minimal_documents()
    check_documents(documents)
    break_it(documents)
    with pytest.raises(RefusedError) as refusal:
        check_documents(documents)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_longest_argument_that_a_command_takes_is_accepted():
    documents = minimal_documents()
    container(documents)["args"] = ["x" * 131071]
    check_documents(documents)


@pytest.mark.parametrize(
    ("parameters", "root", "message"),
    [
        ({"epoch": 2}, None, "no parameter 'epoch': it has epochs"),
        ({"epochs": "2"}, None, "another type"),
        ({}, "/data/root", "not a URI under gs://"),
    ],
)
def test_a_run_that_can_not_start_is_refused(parameters: dict[str, Any], root: str | None, message: str):
    with pytest.raises(RefusedError, match=message):
        check_run(check_documents(minimal_documents()), parameters, root)


OTHER_BUCKET = "is not in minio://bucket, the bucket of the pipeline root"


@pytest.mark.parametrize(
    ("compiled", "root", "chosen", "refused"),
    [
        ("minio://bucket/data", "minio://bucket/root", "minio://bucket/other", False),
        ("minio://bucket/data", "minio://bucket/root", "minio://another/data", True),
        ("minio://bucket/data", "minio://bucket/root", "s3://bucket/data", True),
        ("minio://bucket/data", "s3://bucket/root", "s3://another/data", False),
        # Compiled with `own_credentials`.
        ("minio://another/data", "minio://bucket/root", "s3://bucket/data", False),
    ],
)
def test_data_in_a_bucket_that_the_default_credentials_do_not_open_are_refused(compiled, root, chosen, refused):
    documents = minimal_documents()
    parameters = documents[0]["root"]["inputDefinitions"]["parameters"]
    parameters["data_root"] = {"parameterType": "STRING", "defaultValue": compiled}
    spec = check_documents(documents)
    if refused:
        with pytest.raises(RefusedError, match=OTHER_BUCKET):
            check_run(spec, {"data_root": chosen}, root)
    else:
        check_run(spec, {"data_root": chosen}, root)
