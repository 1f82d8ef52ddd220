"""What Kubernetes is told of a task's pod: `KubernetesExecutorConfig` of Kubeflow Pipelines, as JSON has it.

The fields that newer backends call deprecated are used, such as `secretName`: all backends from 2.4 on take them.
"""

from __future__ import annotations

from typing import Any

from pipeline.kubeflow_settings import ComponentSettings, SecretSettings, TolerationSettings

_POD_SETTINGS = frozenset(
    (
        "image_pull_policy",
        "image_pull_secrets",
        "deadline_seconds",
        "node_selector",
        "tolerations",
        "secrets",
        "labels",
        "annotations",
    )
)
"""Settings of a component that are Kubernetes's alone."""


def pod_settings(chosen: ComponentSettings) -> set[str]:
    """Return the names of the settings that only a pod can have, as far as they are chosen."""
    return {name for name, value in chosen if name in _POD_SETTINGS and value}


def describe_pod(chosen: ComponentSettings) -> dict[str, Any]:
    """Return a task's `KubernetesExecutorConfig`; fields that nothing was chosen for are left out."""
    secrets = chosen.secrets or ()
    fields: dict[str, Any] = {
        "imagePullPolicy": chosen.image_pull_policy,
        "imagePullSecret": [{"secretName": name} for name in chosen.image_pull_secrets or ()],
        # 64-bit integers are text in the JSON of protobufs.
        "activeDeadlineSeconds": str(chosen.deadline_seconds) if chosen.deadline_seconds is not None else None,
        "nodeSelector": {"labels": dict(chosen.node_selector)} if chosen.node_selector else None,
        "tolerations": [_toleration(toleration) for toleration in chosen.tolerations or ()],
        "secretAsEnv": [_secret_as_env(secret) for secret in secrets if secret.env],
        "secretAsVolume": [
            {"secretName": secret.name, "mountPath": secret.mount_path} for secret in secrets if secret.mount_path
        ],
        "podMetadata": _given({"labels": chosen.labels, "annotations": chosen.annotations}),
    }
    return _given(fields)


def _secret_as_env(secret: SecretSettings) -> dict[str, Any]:
    pairs = [{"secretKey": key, "envVar": variable} for variable, key in sorted(secret.env.items())]
    return {"secretName": secret.name, "keyToEnv": pairs}


def _toleration(toleration: TolerationSettings) -> dict[str, Any]:
    return _given(
        {
            "key": toleration.key,
            "operator": toleration.operator,
            "value": toleration.value,
            "effect": toleration.effect,
            "tolerationSeconds": str(toleration.seconds) if toleration.seconds is not None else None,
        }
    )


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
