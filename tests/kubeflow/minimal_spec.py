"""The smallest compiled file with each kind of thing in it: an importer, two tasks, a parameter, a volume."""

from __future__ import annotations

from typing import Any


def minimal_documents() -> list[dict[str, Any]]:
    """Return the two documents; each call anew, so that tests may break them."""
    model = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
    container = {"image": "registry/image:tag", "command": ["python"], "args": ["{{$}}"]}
    return [
        {
            "pipelineInfo": {"name": "small-pipeline"},
            "schemaVersion": "2.1.0",
            "sdkVersion": "tfx",
            "defaultPipelineRoot": "minio://bucket/root",
            "root": {
                "inputDefinitions": {"parameters": {"epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3}}},
                "dag": {
                    "tasks": {
                        "Given": _task("Given"),
                        "Make": _task("Make", {"parameters": {"epochs": {"componentInputParameter": "epochs"}}}),
                        "Use": _task(
                            "Use",
                            {
                                "artifacts": {"model": _output("Make", "made"), "given": _output("Given", "result")},
                                "parameters": {"mode": {"runtimeValue": {"constant": "fast"}}},
                            },
                            ["Given", "Make"],
                        ),
                    }
                },
            },
            "components": {
                "Given": {
                    "executorLabel": "given",
                    "outputDefinitions": {"artifacts": {"result": {"artifactType": model}}},
                },
                "Make": {
                    "executorLabel": "make",
                    "inputDefinitions": {"parameters": {"epochs": {"parameterType": "NUMBER_INTEGER"}}},
                    "outputDefinitions": {"artifacts": {"made": {"artifactType": model}}},
                },
                "Use": {
                    "executorLabel": "use",
                    "inputDefinitions": {
                        "artifacts": {"model": {"artifactType": model}, "given": {"artifactType": model}},
                        "parameters": {"mode": {"parameterType": "STRING"}},
                    },
                },
            },
            "deploymentSpec": {
                "executors": {
                    "given": {
                        "importer": {"artifactUri": {"constant": "minio://bucket/model"}, "typeSchema": dict(model)}
                    },
                    "make": {"container": dict(container)},
                    "use": {"container": dict(container)},
                }
            },
        },
        {
            "platforms": {
                "kubernetes": {
                    "deploymentSpec": {
                        "executors": {
                            "use": {
                                "nodeSelector": {"labels": {"disk": "fast"}},
                                "pvcMount": [{"constant": "claim", "mountPath": "/mnt/claim"}],
                            }
                        }
                    }
                }
            }
        },
    ]


def _task(name: str, inputs: dict[str, Any] | None = None, after: list[str] | None = None) -> dict[str, Any]:
    return {
        "taskInfo": {"name": name},
        "componentRef": {"name": name},
        "inputs": inputs or {},
        "dependentTasks": after or [],
    }


def _output(task: str, key: str) -> dict[str, Any]:
    return {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": key}}
