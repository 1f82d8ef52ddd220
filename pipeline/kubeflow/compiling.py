"""From settings to the file that a cluster runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter
from typing import Any, Literal

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx import v1 as tfx

from components.ingestion.data_generator import DATA_KEY
from components.naming import (
    DATA_GATE,
    EXAMPLE_GEN,
    NAMESPACE,
    NEXT_SPAN,
    SHOWN_TYPES,
    SPAN_GATE,
    SPAN_PROPERTY,
    STATISTICS_GEN,
)
from data.errors import InputError
from data.releases.release import find_release
from pipeline.kubeflow.backend import ClusterBackend
from pipeline.kubeflow.backend_rules import check_documents
from pipeline.kubeflow.notify import WEBHOOK_VARIABLE
from pipeline.kubeflow.pods import describe_pod, pod_settings
from pipeline.kubeflow.run_parameters import BEAM_ARGS, DATA_ROOT, EPOCHS, SPAN, mentions_epochs, task_input
from pipeline.kubeflow.span_backend import ClusterSpanBackend
from pipeline.kubeflow.uris import check_default_credentials, check_uri, to_local
from pipeline.kubeflow_settings import ComponentSettings, KubeflowSettings, WebhookSettings
from pipeline.pipeline import create_pipeline
from pipeline.settings import RunPaths, Settings

BackendName = Literal["kfp", "vertex"]

ENTRYPOINT = ("python", "-m", "pipeline.kubeflow.entrypoint")

LAST_TASK = "Notify"
LAST_COMMAND = ("python", "-m", "pipeline.kubeflow.notify")

_GENERATOR = "DataGenerator"
"""The task whose data come from outside."""


def compile_pipeline(
    settings: Settings, *, image: str, backend: BackendName = "kfp", pipeline_root: str | None = None
) -> str:
    """Return the compiled pipeline.

    Parameters
    ----------
    settings
        What is made, and how it runs on a cluster.
    image
        The project's image, for all components whose settings name no other.
    backend
        `kfp` for open-source Kubeflow Pipelines, `vertex` for Vertex AI.
    pipeline_root
        Overrides the settings'.

    Returns
    -------
    str
        A bare PipelineSpec in YAML, followed by the Kubernetes settings as a second document, or a PipelineJob in
        JSON. Equal arguments give equal text.

    Raises
    ------
    InputError
        Something asked for can't be had from the backend.
    """
    cluster = settings.kubeflow
    root = check_uri(pipeline_root or cluster.pipeline_root, "the pipeline root")
    if cluster.data_root is None and settings.data.release is None and settings.rolling is None:
        raise InputError(
            f"the data of {settings.data.name} are your own: generate them with `python -m data.generate "
            "--interactions`, copy the folder to the cluster's volume or bucket, and set kubeflow.data_root to it",
            code="K42",
        )
    if cluster.data_root is not None:
        check_uri(cluster.data_root, "the data root")
        if not cluster.own_credentials:
            check_default_credentials(cluster.data_root, root)
    if backend == "vertex" and not root.startswith("gs://"):
        raise InputError(
            f"Vertex keeps artifacts under gs://, not under {root}: give a --pipeline-root there", code="K26"
        )
    # Vertex mounts Cloud Storage itself, and has no claims.
    lasting = cluster.volume.mount_path if backend == "kfp" else to_local(f"{root}/lasting")
    paths = RunPaths(
        data_root="",
        schema_file="",
        pipeline_root=root,
        serving=f"{lasting}/serving/{settings.serving_name}",
    )
    job = _compile(create_pipeline(settings, paths, _means(settings, lasting, backend)), cluster, image)
    spec = job["pipelineSpec"]
    spec["defaultPipelineRoot"] = root
    _add_run_parameters(spec, settings)
    if settings.rolling is not None:
        _begin_with_a_span(spec, _ledger(settings, lasting))
    for name in _container_tasks(spec):
        # ExampleGen's driver runs in the entrypoint, on every backend.
        _container(spec, name).pop("lifecycle", None)
        _name_outputs(spec, name)
        _name_shown_types(spec, name)
        _apply_settings(spec, name, cluster.of(name))
        _choose_caching(spec, name, settings, lasting)
    if backend == "vertex":
        if cluster.webhook is not None:
            raise InputError("Vertex has no secrets for kubeflow.webhook: use its own notifications", code="K41")
        _refuse_pod_settings(spec, cluster)
        json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
        return json.dumps(job, sort_keys=True, indent=2) + "\n"
    if cluster.webhook is not None:
        _add_last_task(spec, cluster.webhook, f"{lasting}/states/{settings.pipeline_name}")
        _container(spec, LAST_TASK)["image"] = cluster.of(LAST_TASK).image or image
        # It isn't tried again: it ends as the run did.
        _set_resources(spec, LAST_TASK, cluster.of(LAST_TASK))
    documents = [spec]
    executors = _kubernetes_executors(spec, cluster)
    if executors:
        documents.append({"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}})
    check_documents(documents)
    return yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True)


def _ledger(settings: Settings, lasting: str) -> str:
    return f"{lasting}/ledger/{settings.pipeline_name}"


def _means(settings: Settings, lasting: str, backend: BackendName) -> ClusterBackend:
    """Return what differs on a cluster from a run on this machine."""
    cluster = settings.kubeflow
    places: dict[str, Any] = {
        "data_root": cluster.data_root,
        "data_digest": cluster.data_digest,
        "statistics": f"{lasting}/statistics/{settings.pipeline_name}",
        "former_serving": f"{lasting}/serving/{settings.pipeline_name}",
    }
    if settings.rolling is None:
        return ClusterBackend(**places)
    if backend == "vertex":
        raise InputError("Vertex takes no pipeline that learns from spans: compile with --backend kfp", code="K43")
    if cluster.data_digest is not None:
        raise InputError("kubeflow.data_digest is for data that stay the same: spans don't, leave it out", code="K43")
    if settings.rolling.cold_every:
        raise InputError(
            "rolling.cold_every is for runs on one machine: a compiled file has the same tasks for every span; set it "
            "to 0, compile a second file with rolling.start.warm off, and submit that one from time to time",
            code="K43",
        )
    return ClusterSpanBackend(
        **places,
        series=f"{lasting}/spans/{settings.pipeline_name}",
        ledger=_ledger(settings, lasting),
        rolling=settings.rolling,
    )


def _begin_with_a_span(spec: dict[str, Any], ledger: str) -> None:
    """Add the choice of a span, the condition that skips all other tasks where there is none, and where refusals go.

    The backend's compiler writes a task's condition into Argo's `when`, and has all others wait for tasks that
    succeeded: what waits for a task that is left out is left out too, and the run ends well.
    """
    spec["root"]["inputDefinitions"]["parameters"][SPAN] = {"parameterType": "NUMBER_INTEGER", "defaultValue": 0}
    _task(spec, NEXT_SPAN)["inputs"]["parameters"][SPAN] = {"componentInputParameter": SPAN}
    condition = f"inputs.artifacts['{DATA_KEY}'].artifacts[0].metadata['{SPAN_PROPERTY}'] > 0.0"
    _task(spec, EXAMPLE_GEN)["triggerPolicy"] = {"condition": condition}
    for name in (SPAN_GATE, STATISTICS_GEN, DATA_GATE):
        _container(spec, name)["args"].append(f"--ledger={ledger}")


def _compile(graph: tfx.dsl.Pipeline, cluster: KubeflowSettings, image: str) -> dict[str, Any]:
    """Return TFX's PipelineJob as JSON has it."""
    graph.enable_cache = False
    ids = [node.id for node in graph.components]
    known = [*ids, LAST_TASK] if cluster.webhook is not None else ids
    unknown = sorted(set(cluster.components) - set(known))
    if unknown:
        raise InputError(
            f"kubeflow.components names {', '.join(unknown)}, but the pipeline's components are {', '.join(known)}",
            code="K27",
        )
    config = tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
        default_image={"default_image_path": image, **{name: cluster.of(name).image or image for name in ids}},
        default_commands=list(ENTRYPOINT),
        use_pipeline_spec_2_1=True,
    )
    try:
        return tfx.orchestration.experimental.KubeflowV2DagRunner(config).run(graph, write_out=False)
    except ValueError as error:
        raise InputError(f"the pipeline can't be compiled: {error}", code="K28") from error


def _add_run_parameters(spec: dict[str, Any], settings: Settings) -> None:
    """Declare the parameters of a run, and pass them to the tasks that use them."""
    declared = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    if settings.kubeflow.data_root is not None:
        declared[DATA_ROOT]["defaultValue"] = settings.kubeflow.data_root
    for name, kind, default in (
        (EPOCHS, "NUMBER_INTEGER", settings.training.epochs),
        (BEAM_ARGS, "STRING", shlex.join(settings.kubeflow.beam_args)),
    ):
        declared[name] = {"parameterType": kind, "defaultValue": default}
        for task in _container_tasks(spec):
            if name == EPOCHS and not mentions_epochs(_constants(spec, task)):
                continue
            component = spec["components"][_task(spec, task)["componentRef"]["name"]]
            definitions = component.setdefault("inputDefinitions", {}).setdefault("parameters", {})
            definitions[task_input(name)] = {"parameterType": kind}
            inputs = _task(spec, task).setdefault("inputs", {}).setdefault("parameters", {})
            inputs[task_input(name)] = {"componentInputParameter": name}


def _name_outputs(spec: dict[str, Any], name: str) -> None:
    """Pass a task the names of its component's outputs: the backend adds others of its own."""
    component = spec["components"][_task(spec, name)["componentRef"]["name"]]
    definitions = component.get("outputDefinitions", {})
    names = sorted({*definitions.get("artifacts", {}), *definitions.get("parameters", {})})
    _container(spec, name)["args"].append(f"--output_names={','.join(names)}")


def _name_shown_types(spec: dict[str, Any], name: str) -> None:
    """Give those of a task's outputs that the backend's pages show the types by which they know them."""
    definitions = spec["components"][_task(spec, name)["componentRef"]["name"]].get("outputDefinitions", {})
    for definition in definitions.get("artifacts", {}).values():
        title = yaml.safe_load(definition["artifactType"].get("instanceSchema", "")) or {}
        namespace, _, kind = title.get("title", "").partition(".")
        if namespace == NAMESPACE and kind in SHOWN_TYPES:
            definition["artifactType"] = {"schemaTitle": SHOWN_TYPES[kind], "schemaVersion": "0.0.1"}


def _apply_settings(spec: dict[str, Any], name: str, chosen: ComponentSettings) -> None:
    """Write a component's settings into its container and its task."""
    _set_resources(spec, name, chosen)
    if chosen.retries:
        policy = {"maxRetryCount": chosen.retries, "backoffDuration": "30s", "backoffFactor": 2.0}
        _task(spec, name)["retryPolicy"] = policy


def _set_resources(spec: dict[str, Any], name: str, chosen: ComponentSettings) -> None:
    amounts = {
        "cpuLimit": chosen.cpu,
        "cpuRequest": chosen.cpu_request or chosen.cpu,
        "memoryLimit": chosen.memory_gb,
        "memoryRequest": chosen.memory_request_gb or chosen.memory_gb,
    }
    resources: dict[str, Any] = {resource: amount for resource, amount in amounts.items() if amount is not None}
    if chosen.accelerator is not None:
        # Counts are 64-bit integers, which JSON's protobuf spells as text.
        resources["accelerator"] = {"type": chosen.accelerator.type, "count": str(chosen.accelerator.count)}
    if resources:
        _container(spec, name)["resources"] = resources


def _choose_caching(spec: dict[str, Any], name: str, settings: Settings, lasting: str) -> None:
    """Switch the backend's cache on or off; off for tasks that depend on more than it sees.

    Its key is made of the image, the command, the parameters, the ids of the input artifacts and the mounted claims.

    Raises
    ------
    InputError
        The settings want a task cached that can't be.
    """
    cluster = settings.kubeflow
    sees_all = not _mentions(spec, name, lasting) and (name != _GENERATOR or _is_source_known(settings))
    if not sees_all and cluster.components.get(name, ComponentSettings()).caching:
        raise InputError(
            f"kubeflow.components.{name}.caching can't be on: the backend's cache doesn't see its data"
            f"{': state kubeflow.data_digest' if name == _GENERATOR and cluster.data_root is not None else ''}",
            code="K29",
        )
    _task(spec, name)["cachingOptions"] = {"enableCache": sees_all and cluster.of(name).caching is not False}


def _is_source_known(settings: Settings) -> bool:
    """Return whether the options and a digest, of the release's archive or of the data root, fix what is generated."""
    if settings.kubeflow.data_root is not None:
        return settings.kubeflow.data_digest is not None
    release = find_release(settings.data.data_set)
    return release.archive is None or release.archive.digest is not None


def _kubernetes_executors(spec: dict[str, Any], cluster: KubeflowSettings) -> dict[str, Any]:
    """Return what Kubernetes is told of each task's pod, by executor label."""
    executors: dict[str, Any] = {}
    for name in _container_tasks(spec):
        extra = describe_pod(cluster.of(name))
        if cluster.webhook is not None or _mentions(spec, name, cluster.volume.mount_path):
            extra["pvcMount"] = [{"constant": cluster.volume.claim, "mountPath": cluster.volume.mount_path}]
        if cluster.webhook is not None and name == LAST_TASK:
            address = {"secretKey": cluster.webhook.key, "envVar": WEBHOOK_VARIABLE}
            extra.setdefault("secretAsEnv", []).append({"secretName": cluster.webhook.secret, "keyToEnv": [address]})
        if extra:
            executors[_label(spec, name)] = extra
    return executors


def _add_last_task(spec: dict[str, Any], webhook: WebhookSettings, states: str) -> None:
    """Have every task leave its state in a folder, and a last one, which runs whatever became of them, post the end.

    Argo lets it run once all others have ended or were left out (`depends_exit_handler` of the backend's compiler).
    """
    tasks = spec["root"]["dag"]["tasks"]
    names = _container_tasks(spec)
    for name in names:
        _container(spec, name)["args"].append(f"--states={states}")
    never_cached = [name for name in names if not tasks[name]["cachingOptions"]["enableCache"]]
    arguments = [
        "--executor_input={{$}}",
        f"--states={states}",
        f"--tasks={','.join(_in_order(tasks, names))}",
        f"--never_cached={','.join(never_cached)}",
        *([f"--page={webhook.page}"] if webhook.page else []),
    ]
    label = f"{LAST_TASK}_executor"
    tasks[LAST_TASK] = {
        "taskInfo": {"name": LAST_TASK},
        "componentRef": {"name": LAST_TASK},
        "dependentTasks": sorted(tasks),
        "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
        "cachingOptions": {"enableCache": False},
    }
    # An output, for its URI alone, which holds the run's id.
    place = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
    spec["components"][LAST_TASK] = {"executorLabel": label, "outputDefinitions": {"artifacts": {"place": place}}}
    spec["deploymentSpec"]["executors"][label] = {"container": {"command": list(LAST_COMMAND), "args": arguments}}


def _in_order(tasks: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Return the names of tasks, each after those that it waits for."""
    waits_for = {name: task.get("dependentTasks", []) for name, task in sorted(tasks.items())}
    return [name for name in TopologicalSorter(waits_for).static_order() if name in names]


def _refuse_pod_settings(spec: dict[str, Any], cluster: KubeflowSettings) -> None:
    chosen = {name: sorted(pod_settings(cluster.of(name))) for name in _container_tasks(spec)}
    for name, settings in chosen.items():
        if settings:
            raise InputError(
                f"Vertex has no pods: take {', '.join(settings)} from kubeflow's settings of {name}", code="K30"
            )


def _container_tasks(spec: dict[str, Any]) -> list[str]:
    return [name for name in sorted(spec["root"]["dag"]["tasks"]) if "container" in _executor(spec, name)]


def _task(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return spec["root"]["dag"]["tasks"][name]


def _label(spec: dict[str, Any], name: str) -> str:
    return spec["components"][_task(spec, name)["componentRef"]["name"]]["executorLabel"]


def _executor(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"][_label(spec, name)]


def _container(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return _executor(spec, name)["container"]


def _mentions(spec: dict[str, Any], name: str, folder: str) -> bool:
    """Return whether a task's parameters or arguments name something in a folder."""
    named = [*_constants(spec, name).values(), *_container(spec, name).get("args", [])]
    return any(f"{folder}/" in str(value) for value in named)


def _constants(spec: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a task's parameters that are known already, by name."""
    parameters = _task(spec, name).get("inputs", {}).get("parameters", {})
    return {key: value["runtimeValue"]["constant"] for key, value in parameters.items() if "runtimeValue" in value}
