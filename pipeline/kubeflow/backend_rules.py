"""What saves a user a submission that fails: checks of a compiled file and of a run, before anything is sent.

The API server checks a file by itself. What is checked here it refuses in words that don't help, or fails on later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from kfp.pipeline_spec import pipeline_spec_pb2

from data.errors import InputError
from pipeline.kubeflow.run_parameters import DATA_ROOT
from pipeline.kubeflow.uris import check_default_credentials, check_uri, opens_with_default_credentials

SCHEMA_VERSION = "2.1.0"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
MAX_ARGUMENT_BYTES = 128 * 1024
"""What Linux takes as one argument of a command, its ending zero included."""

MAX_SPEC_BYTES = 1_500_000
"""What Kubernetes keeps as one object."""

_EXECUTOR_KEYS = frozenset(
    (
        "activeDeadlineSeconds",
        "configMapAsEnv",
        "configMapAsVolume",
        "emptyDirMounts",
        "enabledSharedMemory",
        "fieldPathAsEnv",
        "genericEphemeralVolume",
        "imagePullPolicy",
        "imagePullSecret",
        "nodeAffinity",
        "nodeSelector",
        "podAffinity",
        "podMetadata",
        "pvcMount",
        "secretAsEnv",
        "secretAsVolume",
        "securityContext",
        "tolerations",
    )
)
"""Of `KubernetesExecutorConfig` in kubeflow/pipelines: the backend refuses a file with any other."""

_ParameterType = pipeline_spec_pb2.ParameterType
_KINDS = {
    _ParameterType.NUMBER_DOUBLE: "number_value",
    _ParameterType.NUMBER_INTEGER: "number_value",
    _ParameterType.STRING: "string_value",
    _ParameterType.BOOLEAN: "bool_value",
    _ParameterType.LIST: "list_value",
    _ParameterType.STRUCT: "struct_value",
}


class RefusedError(InputError):
    """A spec or run that the backend would refuse, or fail on."""


def read_documents(text: str) -> list[dict[str, Any]]:
    """Return the YAML documents of a compiled file.

    Raises
    ------
    RefusedError
        It isn't YAML.
    """
    try:
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise RefusedError(f"the file is not YAML: {' '.join(str(error).split())}", code="K31") from error


def check_documents(documents: Sequence[Mapping[str, Any]]) -> pipeline_spec_pb2.PipelineSpec:
    """Check a compiled file, given as its documents.

    Returns
    -------
    pipeline_spec_pb2.PipelineSpec
        The pipeline.

    Raises
    ------
    RefusedError
        The message names what is wrong, and where.
    """
    specs = [document for document in documents if "pipelineInfo" in document]
    platforms = [document for document in documents if "platforms" in document]
    if len(specs) != 1 or len(platforms) > 1 or len(specs) + len(platforms) != len(documents):
        raise RefusedError(
            "the file must hold one bare PipelineSpec, and may hold one document of `platforms`; "
            "a PipelineJob is not one: compile with --backend kfp",
            code="K31",
        )
    spec = _parse(specs[0], pipeline_spec_pb2.PipelineSpec(), "the pipeline spec")
    if spec.schema_version != SCHEMA_VERSION:
        raise RefusedError(
            f"the schema version is {spec.schema_version!r}: the backend takes {SCHEMA_VERSION} only", code="K31"
        )
    if not _NAME.fullmatch(spec.pipeline_info.name):
        raise RefusedError(
            f"the pipeline's name {spec.pipeline_info.name!r} is not of lower-case letters, digits, '-' and '.'",
            code="K32",
        )
    if not spec.HasField("root") or not spec.root.dag.tasks:
        raise RefusedError("the root component has no tasks", code="K31")
    size = len(yaml.safe_dump_all(documents).encode())
    if size > MAX_SPEC_BYTES:
        raise RefusedError(f"the file has {size} bytes, and a cluster keeps no more than {MAX_SPEC_BYTES}", code="K33")
    for name, task in sorted(spec.root.dag.tasks.items()):
        for parameter, source in sorted(task.inputs.parameters.items()):
            _check_length(source.runtime_value.constant.string_value, f"the parameter {parameter!r} of task {name}")
    for label, executor in sorted(json_format.MessageToDict(spec.deployment_spec).get("executors", {}).items()):
        _check_container(label.removesuffix("_executor"), executor.get("container", {}))
    for label, key in _executor_keys(platforms):
        if key not in _EXECUTOR_KEYS:
            raise RefusedError(
                f"the settings of {label.removesuffix('_executor')} for Kubernetes hold {key!r}, which the backend "
                f"doesn't know",
                code="K34",
            )
    return spec


def _check_container(task: str, container: Mapping[str, Any]) -> None:
    for argument in [*container.get("command", []), *container.get("args", [])]:
        _check_length(argument, f"an argument of task {task}")
    for resource, amount in sorted(container.get("resources", {}).items()):
        if isinstance(amount, int | float) and amount < 0:
            raise RefusedError(f"{resource} of task {task} is {amount:g}, and can't be negative", code="K35")


def _check_length(text: str, what: str) -> None:
    if len(text.encode()) >= MAX_ARGUMENT_BYTES:
        raise RefusedError(
            f"{what} has {len(text.encode())} bytes: a task's command takes less than {MAX_ARGUMENT_BYTES} at once",
            code="K36",
        )


def _executor_keys(platforms: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the keys of the settings for Kubernetes, each with its executor's label."""
    for document in platforms:
        message = _parse(document, pipeline_spec_pb2.PlatformSpec(), "the document of platforms")
        content = json_format.MessageToDict(message)["platforms"].get("kubernetes", {})
        for label, settings in sorted(content.get("deploymentSpec", {}).get("executors", {}).items()):
            yield from ((label, key) for key in sorted(settings))


def check_run(spec: pipeline_spec_pb2.PipelineSpec, parameters: Mapping[str, Any], pipeline_root: str | None) -> None:
    """Check what a run is started with.

    Parameters
    ----------
    spec
        A pipeline that passed `check_documents`.
    parameters
        Plain values by name.
    pipeline_root
        None for the backend's own default.

    Raises
    ------
    RefusedError
        A parameter is missing, unknown or of another type, or the root is no URI that the launcher knows.
    """
    declared = spec.root.input_definitions.parameters
    for name in parameters:
        if name not in declared:
            raise RefusedError(
                f"the pipeline has no parameter {name!r}: it has {', '.join(sorted(declared)) or 'none'}",
                code="K37",
            )
    for name, value in parameters.items():
        _check_length(str(value), f"the parameter {name!r}")
    for name, parameter in sorted(declared.items()):
        if name in parameters:
            value = json_format.ParseDict(parameters[name], Value())
            if value.WhichOneof("kind") != _KINDS[parameter.parameter_type]:
                raise RefusedError(
                    f"the parameter {name!r} is {parameters[name]!r}, which is of another type than declared",
                    code="K38",
                )
        elif not parameter.is_optional and not parameter.HasField("default_value"):
            raise RefusedError(f"the parameter {name!r} has neither a value nor a default", code="K39")
    compiled_data = declared[DATA_ROOT].default_value.string_value if DATA_ROOT in declared else ""
    data_root = parameters.get(DATA_ROOT, compiled_data)
    try:
        if pipeline_root is not None:
            check_uri(pipeline_root, "the pipeline root")
        if data_root:
            check_uri(data_root, "the data root")
            # A file whose own data lie elsewhere was compiled for credentials that open more.
            by_default = opens_with_default_credentials(compiled_data, spec.default_pipeline_root)
            if pipeline_root is not None and by_default:
                check_default_credentials(data_root, pipeline_root)
    except InputError as error:
        raise RefusedError(str(error), code=error.code) from error


def _parse(content: Mapping[str, Any], message: Any, what: str) -> Any:
    try:
        return json_format.ParseDict(content, message)
    except json_format.ParseError as error:
        raise RefusedError(f"{what} can't be parsed: {' '.join(str(error).split())}", code="K31") from error
