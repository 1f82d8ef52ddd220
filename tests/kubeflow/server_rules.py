"""What the open-source backend of Kubeflow Pipelines v2 accepts, as its source states it: for the stub API server.

The client checks little of this: a spec that breaks a rule is refused only by the API server, or fails on the cluster
when its driver or launcher gets there. The places in the source are named beside the rules, in `kubeflow/pipelines`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from kfp.pipeline_spec import pipeline_spec_pb2

from data.errors import InputError
from pipeline.kubeflow.backend_rules import RefusedError
from pipeline.kubeflow.uris import check_uri

_CODE = "K16"
"""Of a request that the API server refuses."""

SCHEMA_VERSION = "2.1.0"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TASK_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
"""Argo's names of templates and of tasks."""

_ParameterType = pipeline_spec_pb2.ParameterType
_KINDS = {
    _ParameterType.NUMBER_DOUBLE: "number_value",
    _ParameterType.NUMBER_INTEGER: "number_value",
    _ParameterType.STRING: "string_value",
    _ParameterType.BOOLEAN: "bool_value",
    _ParameterType.LIST: "list_value",
    _ParameterType.STRUCT: "struct_value",
}


def check_documents(documents: Sequence[Mapping[str, Any]]) -> pipeline_spec_pb2.PipelineSpec:
    """Check a compiled file, given as its documents.

    Returns
    -------
    pipeline_spec_pb2.PipelineSpec
        The pipeline.

    Raises
    ------
    RefusedError
        The message names the first rule that is broken, and where.
    """
    # backend/src/apiserver/template/v2_template.go: one pipeline, at most one document for Kubernetes.
    specs = [document for document in documents if "pipelineInfo" in document]
    platforms = [document for document in documents if "platforms" in document]
    if len(specs) != 1 or len(platforms) > 1 or len(specs) + len(platforms) != len(documents):
        raise RefusedError(
            "the file must hold one bare PipelineSpec, and may hold one document of `platforms`; "
            "a PipelineJob is not one: compile with --backend kfp",
            code=_CODE,
        )
    spec = _parse(specs[0], pipeline_spec_pb2.PipelineSpec(), "the pipeline spec")
    if spec.schema_version != SCHEMA_VERSION:
        raise RefusedError(
            f"the schema version is {spec.schema_version!r}: the backend takes {SCHEMA_VERSION} only", code=_CODE
        )
    if not _NAME.fullmatch(spec.pipeline_info.name):
        raise RefusedError(
            f"the pipeline's name {spec.pipeline_info.name!r} is not of lower-case letters, digits, '-' and '.'",
            code=_CODE,
        )
    if not spec.HasField("root") or not spec.root.dag.tasks:
        raise RefusedError("the root component has no tasks", code=_CODE)
    deployment = _parse(
        json_format.MessageToDict(spec.deployment_spec),
        pipeline_spec_pb2.PipelineDeploymentConfig(),
        "the deployment spec",
    )
    _check_parameter_types("the root component", spec.root.input_definitions)
    # In two rounds, and in order: inputs can be judged once all tasks are whole, and what is said is always the same.
    tasks = sorted(spec.root.dag.tasks.items())
    for name, task in tasks:
        _check_task(name, task, spec, deployment)
    for name, task in tasks:
        _check_inputs(name, task, spec.components[task.component_ref.name], spec)
    _check_order(spec.root.dag.tasks)
    if platforms:
        _check_platforms(platforms[0], deployment)
    return spec


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
    # backend/src/apiserver/template/v2_template.go, validatePipelineJobInputs
    declared = spec.root.input_definitions.parameters
    for name in parameters:
        if name not in declared:
            raise RefusedError(
                f"the pipeline has no parameter {name!r}: it has {', '.join(sorted(declared)) or 'none'}", code=_CODE
            )
    for name, parameter in sorted(declared.items()):
        if name in parameters:
            value = json_format.ParseDict(parameters[name], Value())
            if value.WhichOneof("kind") != _KINDS[parameter.parameter_type]:
                raise RefusedError(
                    f"the parameter {name!r} is {parameters[name]!r}, which is of another type than declared",
                    code=_CODE,
                )
        elif not parameter.is_optional and not parameter.HasField("default_value"):
            raise RefusedError(f"the parameter {name!r} has neither a value nor a default", code=_CODE)
    if pipeline_root is not None:
        # backend/src/v2/objectstore/config.go
        try:
            check_uri(pipeline_root, "the pipeline root")
        except InputError as error:
            raise RefusedError(str(error), code=_CODE) from error


def _parse(content: Mapping[str, Any], message: Any, what: str) -> Any:
    try:
        return json_format.ParseDict(content, message)
    except json_format.ParseError as error:
        raise RefusedError(f"{what} can't be parsed: {' '.join(str(error).split())}", code=_CODE) from error


def _check_task(
    name: str,
    task: pipeline_spec_pb2.PipelineTaskSpec,
    spec: pipeline_spec_pb2.PipelineSpec,
    deployment: pipeline_spec_pb2.PipelineDeploymentConfig,
) -> None:
    if not _TASK_NAME.fullmatch(name):
        raise RefusedError(f"the task name {name!r} must be letters, digits and '-'", code=_CODE)
    # The driver files executions under this name, and outputs are looked up by the task's key.
    if task.task_info.name != name:
        raise RefusedError(f"task {name} is named {task.task_info.name!r} in its task info", code=_CODE)
    # backend/src/v2/compiler/argocompiler/dag.go
    if task.WhichOneof("iterator") == "artifact_iterator":
        raise RefusedError(f"task {name} iterates over artifacts, which is not implemented", code=_CODE)
    if task.component_ref.name not in spec.components:
        raise RefusedError(
            f"task {name} is of the component {task.component_ref.name!r}, which is not defined", code=_CODE
        )
    component = spec.components[task.component_ref.name]
    if component.executor_label not in deployment.executors:
        raise RefusedError(f"task {name} is run by {component.executor_label!r}, which is not defined", code=_CODE)
    _check_executor(name, task, component, deployment.executors[component.executor_label])
    _check_parameter_types(f"task {name}", component.input_definitions)
    _check_artifact_types(name, component)


def _check_executor(
    name: str,
    task: pipeline_spec_pb2.PipelineTaskSpec,
    component: pipeline_spec_pb2.ComponentSpec,
    executor: pipeline_spec_pb2.PipelineDeploymentConfig.ExecutorSpec,
) -> None:
    kind = executor.WhichOneof("spec")
    if kind == "container":
        # backend/src/v2/component/launcher_v2.go: "command and arguments are empty"
        if not executor.container.image or not (executor.container.command or executor.container.args):
            raise RefusedError(f"the container of task {name} has no image or no command", code=_CODE)
    elif kind == "importer":
        _check_importer(name, task, component, executor.importer)
    else:
        raise RefusedError(
            f"task {name} has an executor of kind {kind!r}, which the backend does not implement", code=_CODE
        )


def _check_importer(
    name: str,
    task: pipeline_spec_pb2.PipelineTaskSpec,
    component: pipeline_spec_pb2.ComponentSpec,
    importer: pipeline_spec_pb2.PipelineDeploymentConfig.ImporterSpec,
) -> None:
    # As in backend/src/v2/component/importer_launcher.go.
    if task.trigger_policy.condition:
        raise RefusedError(f"the importer {name} has a condition, which is not supported", code=_CODE)
    if len(component.output_definitions.artifacts) != 1:
        raise RefusedError(f"the importer {name} must have one output", code=_CODE)
    uri = importer.artifact_uri
    if uri.WhichOneof("value") == "runtime_parameter":
        given = task.inputs.parameters
        if uri.runtime_parameter not in given or not given[uri.runtime_parameter].component_input_parameter:
            raise RefusedError(
                f"the importer {name} takes its URI from {uri.runtime_parameter!r}, which the task is not given",
                code=_CODE,
            )
    elif not uri.constant.string_value:
        raise RefusedError(f"the importer {name} has no URI", code=_CODE)
    _check_type(f"the importer {name}", importer.type_schema)


def _check_parameter_types(where: str, inputs: pipeline_spec_pb2.ComponentInputsSpec) -> None:
    for parameter, definition in sorted(inputs.parameters.items()):
        if definition.parameter_type not in _KINDS:
            raise RefusedError(f"the parameter {parameter!r} of {where} has no type", code=_CODE)


def _check_artifact_types(name: str, component: pipeline_spec_pb2.ComponentSpec) -> None:
    definitions = [
        *sorted(component.input_definitions.artifacts.items()),
        *sorted(component.output_definitions.artifacts.items()),
    ]
    for artifact, definition in definitions:
        _check_type(f"the artifact {artifact!r} of task {name}", definition.artifact_type)


def _check_type(what: str, schema: pipeline_spec_pb2.ArtifactTypeSchema) -> None:
    # backend/src/v2/component/launcher_v2.go, getArtifactSchema; backend/src/v2/metadata/client.go ends the
    # process on a schema without title.
    kind = schema.WhichOneof("kind")
    if kind == "schema_uri":
        raise RefusedError(f"{what} has a type given by URI, which is not supported", code=_CODE)
    content = yaml.safe_load(schema.instance_schema) if kind == "instance_schema" else {"title": schema.schema_title}
    if not isinstance(content, dict) or not content.get("title"):
        raise RefusedError(f"{what} has no type", code=_CODE)


def _check_inputs(
    name: str,
    task: pipeline_spec_pb2.PipelineTaskSpec,
    component: pipeline_spec_pb2.ComponentSpec,
    spec: pipeline_spec_pb2.PipelineSpec,
) -> None:
    tasks = spec.root.dag.tasks
    for artifact, source in sorted(task.inputs.artifacts.items()):
        producer = source.task_output_artifact.producer_task
        key = source.task_output_artifact.output_artifact_key
        made = spec.components[tasks[producer].component_ref.name] if producer in tasks else None
        if made is None or key not in made.output_definitions.artifacts:
            raise RefusedError(
                f"task {name} wants {key!r} of task {producer!r} as {artifact!r}, and there is none", code=_CODE
            )
        if artifact not in component.input_definitions.artifacts:
            raise RefusedError(
                f"task {name} is given the artifact {artifact!r}, which its component does not define", code=_CODE
            )
    for artifact, definition in sorted(component.input_definitions.artifacts.items()):
        if artifact not in task.inputs.artifacts and not definition.is_optional:
            raise RefusedError(f"task {name} is not given the artifact {artifact!r}", code=_CODE)
    for parameter, definition in sorted(component.input_definitions.parameters.items()):
        if parameter not in task.inputs.parameters:
            if not definition.is_optional and not definition.HasField("default_value"):
                raise RefusedError(f"task {name} is not given the parameter {parameter!r}", code=_CODE)
            continue
        _check_parameter(name, parameter, definition, task.inputs.parameters[parameter], spec)


def _check_parameter(
    name: str,
    parameter: str,
    definition: pipeline_spec_pb2.ComponentInputsSpec.ParameterSpec,
    source: pipeline_spec_pb2.TaskInputsSpec.InputParameterSpec,
    spec: pipeline_spec_pb2.PipelineSpec,
) -> None:
    # backend/src/v2/driver/resolve.go
    if source.WhichOneof("kind") == "component_input_parameter":
        if source.component_input_parameter not in spec.root.input_definitions.parameters:
            raise RefusedError(
                f"task {name} takes {parameter!r} from {source.component_input_parameter!r}, which is not declared",
                code=_CODE,
            )
    elif source.runtime_value.WhichOneof("value") != "constant":
        raise RefusedError(
            f"the parameter {parameter!r} of task {name} is neither a constant nor a parameter of the pipeline",
            code=_CODE,
        )
    elif source.runtime_value.constant.WhichOneof("kind") != _KINDS[definition.parameter_type]:
        raise RefusedError(f"the parameter {parameter!r} of task {name} is of another type than declared", code=_CODE)


def _check_order(tasks: Mapping[str, pipeline_spec_pb2.PipelineTaskSpec]) -> None:
    needs = {name: set(_needs(task)) for name, task in tasks.items()}
    for name, needed in sorted(needs.items()):
        for other in sorted(needed - set(tasks)):
            raise RefusedError(f"task {name} waits for {other!r}, which is no task", code=_CODE)
        # backend/src/v2/compiler/argocompiler/dag.go adds what inputs imply; other backends don't.
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        raise RefusedError(f"the tasks {', '.join(error.args[1])} wait for each other", code=_CODE) from error


def _needs(task: pipeline_spec_pb2.PipelineTaskSpec) -> Iterable[str]:
    """Yield the tasks that come before a task."""
    yield from task.dependent_tasks
    for source in task.inputs.artifacts.values():
        yield source.task_output_artifact.producer_task


def _check_platforms(document: Mapping[str, Any], deployment: pipeline_spec_pb2.PipelineDeploymentConfig) -> None:
    platforms = _parse(document, pipeline_spec_pb2.PlatformSpec(), "the document of platforms")
    if list(platforms.platforms) != ["kubernetes"]:
        raise RefusedError("the document of platforms must be for Kubernetes", code=_CODE)
    for label, settings in sorted(platforms.platforms["kubernetes"].deployment_spec.executors.items()):
        if label not in deployment.executors:
            raise RefusedError(f"the document of platforms names {label!r}, which is no executor", code=_CODE)
        # backend/src/v2/driver/k8s.go: "failed to mount volume, missing mountpath or pvc name"
        for mount in json_format.MessageToDict(settings).get("pvcMount", []):
            if not mount.get("constant") or not mount.get("mountPath"):
                raise RefusedError(f"a volume of {label!r} has no claim or no path", code=_CODE)
        _check_shape(json_format.MessageToDict(settings), EXECUTOR_CONFIG, f"the settings of {label!r}")


_MAP = {"*": str}
EXECUTOR_CONFIG: dict[str, Any] = {
    "secretAsVolume": [{"secretName": str, "mountPath": str, "optional": bool}],
    "secretAsEnv": [{"secretName": str, "keyToEnv": [{"secretKey": str, "envVar": str}], "optional": bool}],
    "pvcMount": [{"constant": str, "componentInputParameter": str, "mountPath": str, "subPath": str}],
    "nodeSelector": {"labels": _MAP},
    "podMetadata": {"labels": _MAP, "annotations": _MAP},
    "imagePullSecret": [{"secretName": str}],
    "imagePullPolicy": str,
    "activeDeadlineSeconds": int,
    "tolerations": [{"key": str, "operator": str, "value": str, "effect": str, "tolerationSeconds": int}],
}
"""Fields of `KubernetesExecutorConfig` in kfp-kubernetes 2.17.3, as far as they are used, without the newer forms."""


def _check_shape(value: object, shape: Any, where: str) -> None:
    """Check a value as the strict parser of protobuf's JSON does: unknown fields and other types are errors."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise RefusedError(f"{where} is no list", code=_CODE)
        for number, item in enumerate(value):
            _check_shape(item, shape[0], f"{where}[{number}]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            raise RefusedError(f"{where} is no object", code=_CODE)
        for name, inner in value.items():
            if name not in shape and "*" not in shape:
                raise RefusedError(f"{where} holds the unknown field {name!r}", code=_CODE)
            _check_shape(inner, shape.get(name, shape.get("*")), f"{where}.{name}")
    elif shape is int:
        # 64-bit integers are text, or whole numbers.
        if not (isinstance(value, str) and value.lstrip("-").isdecimal()):
            raise RefusedError(f"{where} is no integer", code=_CODE)
    elif not isinstance(value, shape):
        raise RefusedError(f"{where} is no {shape.__name__}", code=_CODE)
