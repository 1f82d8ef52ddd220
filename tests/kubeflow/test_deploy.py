from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes import client

from pipeline.kubeflow_settings import VolumeSettings
from pipeline.settings import load_settings
from serving.model_config import CONFIG_FILE

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
VOLUME = VolumeSettings()


def manifests(name: str) -> dict[str, dict[str, Any]]:
    """Return a file's objects by kind."""
    return {item["kind"]: item for item in yaml.safe_load_all((DEPLOY / name).read_text())}


def image_user() -> str:
    """Return user and group that the image runs as."""
    return (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8").partition("\nUSER ")[2].partition("\n")[0]


def test_the_claim_is_the_one_that_compiled_pipelines_mount():
    assert manifests("volume.yaml")["PersistentVolumeClaim"]["metadata"]["name"] == VOLUME.claim
    (volume,) = manifests("volume-owner.yaml")["Job"]["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == VOLUME.claim


def test_the_volume_is_given_to_the_user_that_the_image_runs_as():
    (container,) = manifests("volume-owner.yaml")["Job"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["chown", image_user(), container["volumeMounts"][0]["mountPath"]]


def test_pods_of_tasks_are_patched_to_the_user_of_the_image_with_the_volume_in_its_group():
    patch = json.loads((DEPLOY / "pod-security.json").read_text(encoding="utf-8"))
    (template,) = patch["templates"]
    # The template of every container task in the workflow that the recorded backend made.
    assert template["name"] == "system-container-impl"
    context = template["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == image_user()
    assert (context["fsGroup"], context["runAsNonRoot"]) == (context["runAsGroup"], True)
    parsed = client.ApiClient().deserialize(SimpleNamespace(data=json.dumps(context)), "V1PodSecurityContext")
    assert client.ApiClient().sanitize_for_serialization(parsed) == context


def test_the_model_server_needs_no_more_than_the_restricted_pod_security_standard_allows():
    spec = manifests("tensorflow-serving.yaml")["Deployment"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert all("persistentVolumeClaim" in volume for volume in spec["volumes"])


def test_tensorflow_serving_looks_where_the_pusher_publishes_and_can_not_write_there():
    spec = manifests("tensorflow-serving.yaml")["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (mount,), (volume,) = container["volumeMounts"], spec["volumes"]
    published = f"{VOLUME.mount_path}/serving/{load_settings('ml-1m').serving_name}"
    assert f"--model_base_path={published}" in container["args"]
    assert mount["mountPath"] == VOLUME.mount_path
    assert mount["readOnly"] is True
    assert volume["persistentVolumeClaim"] == {"claimName": VOLUME.claim, "readOnly": True}


def test_tensorflow_serving_may_be_given_the_labels_of_what_the_pusher_publishes():
    text = (DEPLOY / "tensorflow-serving.yaml").read_text(encoding="utf-8")
    flags = dict(re.findall(r"^ +# - --(\w+)=(\S+)$", text, re.MULTILINE))
    published = f"{VOLUME.mount_path}/serving/{load_settings('ml-1m').serving_name}"
    assert flags == {
        "model_config_file": f"{published}/{CONFIG_FILE}",
        "model_config_file_poll_wait_seconds": "30",
        "allow_version_labels_for_unavailable_models": "true",
    }
    documented = (DEPLOY.parent / "docs" / "publishing.md").read_text(encoding="utf-8")
    assert all(f"--{name}={value}" in documented for name, value in flags.items())


def test_the_service_finds_the_server():
    objects = manifests("tensorflow-serving.yaml")
    template = objects["Deployment"]["spec"]["template"]
    assert objects["Service"]["spec"]["selector"] == template["metadata"]["labels"]
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in objects["Service"]["spec"]["ports"]} == ports


@pytest.mark.parametrize(
    ("file", "kind", "type_name"),
    [
        ("volume.yaml", "PersistentVolumeClaim", "V1PersistentVolumeClaim"),
        ("volume-owner.yaml", "Job", "V1Job"),
        ("tensorflow-serving.yaml", "Deployment", "V1Deployment"),
        ("tensorflow-serving.yaml", "Service", "V1Service"),
    ],
)
def test_kubernetes_own_types_know_every_field(file: str, kind: str, type_name: str):
    written = manifests(file)[kind]
    api = client.ApiClient()
    parsed = api.deserialize(SimpleNamespace(data=json.dumps(written)), type_name)
    # What a type doesn't know is not among what it writes.
    assert api.sanitize_for_serialization(parsed) == written


def test_every_server_names_the_model_as_the_request_in_the_readme_does():
    readme = (DEPLOY.parent / "README.md").read_text(encoding="utf-8")
    (name,) = set(re.findall(r"/v1/models/([\w-]+)", readme))
    (container,) = manifests("tensorflow-serving.yaml")["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert f"--model_name={name}" in container["args"]
    assert container["readinessProbe"]["httpGet"]["path"] == f"/v1/models/{name}"
    assert manifests("kserve.yaml")["InferenceService"]["metadata"]["name"] == name


def test_kserve_looks_where_the_pusher_publishes():
    model = manifests("kserve.yaml")["InferenceService"]["spec"]["predictor"]["model"]
    assert model["storageUri"] == f"pvc://{VOLUME.claim}/serving/{load_settings('ml-1m').serving_name}"
    (container,) = manifests("tensorflow-serving.yaml")["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"tensorflow/serving:{model['runtimeVersion']}"
