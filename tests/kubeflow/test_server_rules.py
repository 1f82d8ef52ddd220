from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from minimal_spec import minimal_documents
from server_rules import check_documents, check_run

from pipeline.kubeflow.backend_rules import RefusedError, read_documents

Documents = list[dict[str, Any]]


def test_a_sound_file_is_accepted():
    spec = check_documents(minimal_documents())
    assert spec.pipeline_info.name == "small-pipeline"
    assert set(spec.root.dag.tasks) == {"Given", "Make", "Use"}


def test_a_file_needs_no_kubernetes_document():
    check_documents(minimal_documents()[:1])


def tasks(documents: Documents) -> dict[str, Any]:
    return documents[0]["root"]["dag"]["tasks"]


def executors(documents: Documents) -> dict[str, Any]:
    return documents[0]["deploymentSpec"]["executors"]


def components(documents: Documents) -> dict[str, Any]:
    return documents[0]["components"]


def mount(documents: Documents) -> dict[str, Any]:
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["use"]["pvcMount"][0]


def conditional_importer(documents: Documents) -> None:
    tasks(documents)["Given"]["triggerPolicy"] = {"condition": "true"}


def importer_with_parameter(documents: Documents) -> None:
    executors(documents)["given"]["importer"]["artifactUri"] = {"runtimeParameter": "somewhere"}


def artifact_type(documents: Documents, value: dict[str, Any]) -> None:
    components(documents)["Make"]["outputDefinitions"]["artifacts"]["made"]["artifactType"] = value


BREAKS: dict[str, tuple[str, Callable[[Documents], Any]]] = {
    "a job in place of a bare spec": (
        "bare PipelineSpec",
        lambda documents: documents.__setitem__(0, {"pipelineSpec": documents[0]}),
    ),
    "two pipelines": ("bare PipelineSpec", lambda documents: documents.append(documents[0])),
    "two documents of platforms": ("bare PipelineSpec", lambda documents: documents.append(documents[1])),
    "an unknown field": ("can't be parsed", lambda documents: documents[0].update(colour="red")),
    "Vertex's schema version": ("schema version is '2.0.0'", lambda d: d[0].update(schemaVersion="2.0.0")),
    "no schema version": ("schema version is ''", lambda documents: documents[0].pop("schemaVersion")),
    "no name": ("the pipeline's name ''", lambda documents: documents[0].update(pipelineInfo={})),
    "a name with capitals": ("'Small'", lambda documents: documents[0].update(pipelineInfo={"name": "Small"})),
    "a name with an underscore": ("'a_b'", lambda documents: documents[0].update(pipelineInfo={"name": "a_b"})),
    "no root": ("has no tasks", lambda documents: documents[0].pop("root")),
    "no tasks": ("has no tasks", lambda documents: tasks(documents).clear()),
    "a task name with an underscore": ("'a_b'", lambda d: tasks(d).__setitem__("a_b", tasks(d)["Make"])),
    "a task under another name": ("in its task info", lambda d: tasks(d)["Make"]["taskInfo"].update(name="Other")),
    "an artifact iterator": (
        "iterates over artifacts",
        lambda documents: tasks(documents)["Make"].update(artifactIterator={"itemInput": "model"}),
    ),
    "a component that is missing": ("not defined", lambda documents: components(documents).pop("Make")),
    "an executor that is missing": ("not defined", lambda documents: executors(documents).pop("make")),
    "a resolver": ("'resolver'", lambda d: executors(d).__setitem__("make", {"resolver": {}})),
    "a custom job": ("'custom_job'", lambda d: executors(d).__setitem__("make", {"customJob": {}})),
    "a container without image": ("no image", lambda d: executors(d)["make"]["container"].pop("image")),
    "a container without command": (
        "no command",
        lambda documents: executors(documents).__setitem__("make", {"container": {"image": "i"}}),
    ),
    "an importer with a condition": ("condition", conditional_importer),
    "an importer without URI": ("no URI", lambda d: executors(d)["given"]["importer"].pop("artifactUri")),
    "an importer of a parameter that it does not get": ("'somewhere'", importer_with_parameter),
    "an importer without output": (
        "one output",
        lambda documents: components(documents)["Given"].pop("outputDefinitions"),
    ),
    "an importer without type": ("no type", lambda d: executors(d)["given"]["importer"].pop("typeSchema")),
    "a parameter without type": (
        "has no type",
        lambda d: components(d)["Make"]["inputDefinitions"]["parameters"].update(epochs={}),
    ),
    "an artifact without type": ("has no type", lambda documents: artifact_type(documents, {})),
    "an artifact type without title": (
        "has no type",
        lambda documents: artifact_type(documents, {"instanceSchema": "type: object\n"}),
    ),
    "an artifact type by URI": (
        "given by URI",
        lambda documents: artifact_type(documents, {"schemaUri": "http://example.org"}),
    ),
    "an input that nobody makes": (
        "there is none",
        lambda documents: components(documents)["Make"].pop("outputDefinitions"),
    ),
    "an input artifact that is not defined": (
        "does not define",
        lambda documents: components(documents)["Use"]["inputDefinitions"]["artifacts"].pop("given"),
    ),
    "an input artifact that is not given": (
        "not given the artifact 'given'",
        lambda documents: tasks(documents)["Use"]["inputs"]["artifacts"].pop("given"),
    ),
    "a parameter that is not given": (
        "not given the parameter 'mode'",
        lambda documents: tasks(documents)["Use"]["inputs"]["parameters"].pop("mode"),
    ),
    "a constant of another type": (
        "another type",
        lambda d: tasks(d)["Use"]["inputs"]["parameters"].update(mode={"runtimeValue": {"constant": 1}}),
    ),
    "a value that is known to nobody": (
        "neither a constant nor",
        lambda d: tasks(d)["Use"]["inputs"]["parameters"].update(mode={"runtimeValue": {"runtimeParameter": "m"}}),
    ),
    "a pipeline parameter that is not declared": (
        "not declared",
        lambda documents: documents[0]["root"].pop("inputDefinitions"),
    ),
    "a task that waits for none": ("is no task", lambda d: tasks(d)["Use"]["dependentTasks"].append("Nobody")),
    "tasks that wait for each other": (
        "wait for each other",
        lambda documents: tasks(documents)["Make"].update(dependentTasks=["Use"]),
    ),
    "settings for another platform": (
        "for Kubernetes",
        lambda documents: documents[1]["platforms"].update(mesos={}),
    ),
    "settings for an executor that is missing": (
        "no executor",
        lambda d: d[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].update(other={}),
    ),
    "a volume without claim": ("no claim", lambda documents: mount(documents).pop("constant")),
    "an unknown field of a pod": ("unknown field 'subpath'", lambda documents: mount(documents).update(subpath="a")),
    "a field of a pod that is of another type": ("is no str", lambda documents: mount(documents).update(subPath=True)),
    "a volume without path": ("no path", lambda documents: mount(documents).pop("mountPath")),
}


@pytest.mark.parametrize(("message", "break_it"), BREAKS.values(), ids=BREAKS.keys())
def test_a_file_that_breaks_a_rule_is_refused_in_one_line(message: str, break_it: Callable[[Documents], Any]):
    documents = minimal_documents()
    break_it(documents)
    with pytest.raises(RefusedError) as refusal:
        check_documents(documents)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_is_not_yaml_is_refused():
    with pytest.raises(RefusedError, match="not YAML"):
        read_documents("a: [1")


@pytest.mark.parametrize("root", [None, "gs://bucket", "s3://bucket/deep/root", "minio://mlpipeline/v2/artifacts/"])
def test_a_run_with_sound_root_and_parameters_is_accepted(root: str | None):
    spec = check_documents(minimal_documents())
    check_run(spec, {"epochs": 2}, root)
    check_run(spec, {}, root)


@pytest.mark.parametrize("root", ["", "/data/root", "file:///root", "http://bucket/root", "gs://", "gs://b/r?x=1"])
def test_a_root_that_the_launcher_does_not_know_is_refused(root: str):
    with pytest.raises(RefusedError, match="not a URI under gs://"):
        check_run(check_documents(minimal_documents()), {}, root)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"epoch": 2}, "no parameter 'epoch': it has epochs"), ({"epochs": "2"}, "another type")],
)
def test_a_wrong_parameter_is_refused(parameters: dict[str, Any], message: str):
    with pytest.raises(RefusedError, match=message):
        check_run(check_documents(minimal_documents()), parameters, None)


def test_a_parameter_without_default_must_be_given():
    documents = minimal_documents()
    del documents[0]["root"]["inputDefinitions"]["parameters"]["epochs"]["defaultValue"]
    with pytest.raises(RefusedError, match="neither a value nor a default"):
        check_run(check_documents(documents), {}, None)
