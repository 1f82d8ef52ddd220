"""A small backend that runs what was compiled: driver and launcher of Kubeflow Pipelines, without Kubernetes.

It does what `backend/src/v2/driver` and `backend/src/v2/component/launcher_v2.go` of kubeflow/pipelines do, no less and
no more: a task gets remote URIs, untyped input artifacts, numbers as doubles; what it leaves at the launcher's local
paths goes to the object store, and only to keys below the run's own root. Each task's command runs as a process of its
own, with the image's environment and nothing else; `ForkingExecutor` forks it instead of starting it anew.

What the releases hand over differs: `recorded_executor_input.json` is what the real driver of 2.17.0 wrote.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from forked_runs import run_module
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value
from kfp.pipeline_spec import pipeline_spec_pb2 as specs
from object_store import ObjectStore, launcher_path

Release = Literal["2.4.0", "2.17.0", "next"]
"""Whose driver and launcher are followed; `next` is what is planned after 2.17.0, without ML Metadata.

`next` follows what is known of kubeflow/pipelines #13986 (merged after 2.17.0), and was not seen run.
"""

METRICS = "system.Metrics"

MAX_ARGUMENT_BYTES = 128 * 1024
"""The most that Linux takes as one argument of a command, its ending zero included."""

EXECUTOR_LOGS = "executor-logs"
"""The output that the driver adds to every container task since 2.5: a file with what the task's command writes."""

REPOSITORY = Path(__file__).resolve().parent.parent.parent
IMAGE_COMMIT = "c0ffee123456"
"""The commit that the image was built with."""

PARALLEL_TASKS = 2
_SLOTS = threading.BoundedSemaphore(PARALLEL_TASKS)
"""Of all executors together: the machine is one."""


def image_environment(launcher_root: Path) -> dict[str, str]:
    """Return the environment that the Dockerfile gives a container, with its paths turned into this machine's."""
    text = (REPOSITORY / "Dockerfile").read_text()
    environment = dict(re.findall(r"^ENV (\w+)=(.*)$", text, flags=re.MULTILINE))
    places = {"/opt/venv": sys.prefix, "/app": str(REPOSITORY), "${NEXT_MOVIE_COMMIT}": IMAGE_COMMIT}
    for name, value in environment.items():
        for inside, here in places.items():
            value = value.replace(inside, here)
        environment[name] = value
    return {**environment, "NEXT_MOVIE_LAUNCHER_ROOT": str(launcher_root)}


_ARTIFACT_IDS = itertools.count(1)
"""Of all runs together, as a metadata store counts."""


@dataclass
class Artifact:
    """What the metadata store keeps of an output."""

    name: str
    uri: str
    metadata: Struct


@dataclass
class RunResult:
    """How a run ended: tasks in the order in which they ended, their outputs and their logs."""

    succeeded: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    outputs: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    cached: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Tasks whose condition doesn't hold, and those that wait for such tasks."""
    handed_over: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each task's command got, as JSON has it, with the URIs that the store knows."""

    @property
    def state(self) -> str:
        return "FAILED" if self.failed else "SUCCEEDED"

    @property
    def error(self) -> str | None:
        return f"task {', '.join(self.failed)} failed" if self.failed else None


class ConformingExecutor:
    """Runs one pipeline.

    Parameters
    ----------
    request
        A run as the API server received it: `pipeline_spec` and `runtime_config`.
    store
        The object store.
    volumes
        Folders by the name of their claim.
    work
        A folder for the tasks' own file systems.
    release
        Whose driver and launcher are followed.
    cache
        Outputs of earlier tasks by the fingerprint of their keys; of one pipeline, for the fingerprint doesn't name it.
    secrets
        Their values by name and key.
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        store: ObjectStore,
        volumes: Mapping[str, Path],
        work: Path,
        release: Release = "2.17.0",
        cache: dict[str, dict[str, Artifact]] | None = None,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        content = request["pipeline_spec"]
        self.spec = json_format.ParseDict(content.get("pipeline_spec", content), specs.PipelineSpec())
        self.platform = json_format.ParseDict(content.get("platform_spec", {}), specs.PlatformSpec())
        self.deployment = json_format.ParseDict(
            json_format.MessageToDict(self.spec.deployment_spec), specs.PipelineDeploymentConfig()
        )
        runtime = request.get("runtime_config", {})
        self.parameters = {
            name: json_format.ParseDict(runtime.get("parameters", {})[name], Value())
            if name in runtime.get("parameters", {})
            else definition.default_value
            for name, definition in self.spec.root.input_definitions.parameters.items()
        }
        self.root = f"{runtime['pipeline_root'].rstrip('/')}/{self.spec.pipeline_info.name}/{uuid.uuid4()}"
        self.store, self.volumes, self.work, self.release = store, volumes, work, release
        self.cache = {} if cache is None else cache
        self.secrets = secrets or {}

    def run(self, only: str | None = None, earlier: RunResult | None = None) -> RunResult:
        """Run task after task, ready ones side by side, until all are done or one has failed.

        Parameters
        ----------
        only
            Run this task alone, on what an earlier run put out.
        earlier
            That run.
        """
        result = RunResult()
        if earlier is not None:
            result.outputs.update(earlier.outputs)
        tasks = self.spec.root.dag.tasks
        waiting, running = dict(tasks) if only is None else {only: specs.PipelineTaskSpec()}, {}
        with ThreadPoolExecutor(PARALLEL_TASKS) as pool:
            while waiting or running:
                while skipped := [name for name, task in waiting.items() if _is_left_out(task, result)]:
                    result.left_out += skipped
                    waiting = {name: task for name, task in waiting.items() if name not in skipped}
                ready = [name for name, task in waiting.items() if set(task.dependent_tasks) <= set(result.succeeded)]
                if result.failed or not (ready or running):
                    # Nothing follows a failure but what runs whatever became of the rest, once that is over.
                    ready = [] if running else [name for name, task in waiting.items() if _runs_anyhow(task)]
                for name in sorted(ready):
                    del waiting[name]
                    running[pool.submit(self._run_task, name, tasks[name], result)] = name
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._collect(running.pop(future), future, result)
        return result

    def _collect(self, name: str, future: Future, result: RunResult) -> None:
        try:
            outputs = future.result()
            if outputs is None:
                result.left_out.append(name)
                return
            result.outputs[name] = outputs
            result.succeeded.append(name)
        except TaskFailedError as failure:
            result.logs[name] = f"{result.logs.get(name, '')}\n{failure}"
            result.failed.append(name)

    def _run_task(self, name: str, task: specs.PipelineTaskSpec, result: RunResult) -> dict[str, Artifact] | None:
        """Return a task's outputs; None where its condition doesn't hold."""
        component = self.spec.components[task.component_ref.name]
        executor = self.deployment.executors[component.executor_label]
        inputs = self._resolve_inputs(task, result)
        if executor.WhichOneof("spec") == "importer":
            return self._import(component, executor.importer, inputs)
        assert executor.WhichOneof("spec") == "container", f"{name}: not implemented"
        if task.trigger_policy.condition and not holds(task.trigger_policy.condition, inputs):
            return None
        fingerprint = self._fingerprint(name, component, executor.container, inputs)
        if task.caching_options.enable_cache and fingerprint in self.cache:
            result.cached.append(name)
            return self.cache[fingerprint]
        outputs = self._try(name, task, component, executor.container, inputs, result)
        if task.caching_options.enable_cache:
            self.cache[fingerprint] = outputs
        return outputs

    def _fingerprint(
        self,
        name: str,
        component: specs.ComponentSpec,
        container: specs.PipelineDeploymentConfig.PipelineContainerSpec,
        inputs: specs.ExecutorInput.Inputs,
    ) -> str:
        """Return what the cache goes by, as `backend/src/v2/cacheutils/cache.go` makes it: no URI, no content."""
        driven = json_format.MessageToDict(self._drive(name, component, inputs, Path("/")))
        key = {
            "inputArtifactNames": {
                artifact: [one.name for one in given.artifacts] for artifact, given in inputs.artifacts.items()
            },
            "inputParameterValues": driven["inputs"].get("parameterValues", {}),
            "outputArtifactsSpec": {
                artifact: {part: value for part, value in given["artifacts"][0].items() if part != "uri"}
                for artifact, given in driven["outputs"].get("artifacts", {}).items()
            },
            "containerSpec": {
                "image": container.image,
                "cmdArgs": [*container.command, *container.args],
                "pvcNames": sorted(mount["constant"] for mount in self._pvc_mounts(component.executor_label)),
            },
        }
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()

    def _try(
        self,
        name: str,
        task: specs.PipelineTaskSpec,
        component: specs.ComponentSpec,
        container: specs.PipelineDeploymentConfig.PipelineContainerSpec,
        inputs: specs.ExecutorInput.Inputs,
        result: RunResult,
    ) -> dict[str, Artifact]:
        for attempt in range(task.retry_policy.max_retry_count + 1):
            result.attempts[name] = attempt + 1
            try:
                return self._launch(name, attempt, component, container, inputs, result)
            except TaskFailedError:
                if attempt == task.retry_policy.max_retry_count:
                    raise
        raise AssertionError

    def _resolve_inputs(self, task: specs.PipelineTaskSpec, result: RunResult) -> specs.ExecutorInput.Inputs:
        """Do what the driver does: constants, parameters of the run, and earlier artifacts without types."""
        inputs = specs.ExecutorInput.Inputs()
        for name, source in task.inputs.parameters.items():
            if source.WhichOneof("kind") == "component_input_parameter":
                inputs.parameter_values[name].CopyFrom(self.parameters[source.component_input_parameter])
            else:
                inputs.parameter_values[name].CopyFrom(source.runtime_value.constant)
        for name, source in task.inputs.artifacts.items():
            output = source.task_output_artifact
            artifact = result.outputs[output.producer_task][output.output_artifact_key]
            given = inputs.artifacts[name].artifacts.add(
                name=artifact.name, uri=artifact.uri, metadata=artifact.metadata
            )
            if self.release != "2.4.0":
                given.type.instance_schema = ""
                given.metadata["display_name"] = output.output_artifact_key
            if self.release == "2.17.0":
                given.metadata["store_session_info"] = '{"Provider":"minio","Params":{"fromEnv":"false"}}'
        return inputs

    def _import(
        self,
        component: specs.ComponentSpec,
        importer: specs.PipelineDeploymentConfig.ImporterSpec,
        inputs: specs.ExecutorInput.Inputs,
    ) -> dict[str, Artifact]:
        uri = importer.artifact_uri
        chosen = (
            inputs.parameter_values[uri.runtime_parameter]
            if uri.WhichOneof("value") == "runtime_parameter"
            else uri.constant
        )
        (key,) = component.output_definitions.artifacts
        # An artifact that an earlier run imported from the same URI is taken again.
        imported = f"imported from {chosen.string_value}"
        return self.cache.setdefault(imported, {key: Artifact(str(next(_ARTIFACT_IDS)), chosen.string_value, Struct())})

    def _launch(
        self,
        name: str,
        attempt: int,
        component: specs.ComponentSpec,
        container: specs.PipelineDeploymentConfig.PipelineContainerSpec,
        inputs: specs.ExecutorInput.Inputs,
        result: RunResult,
    ) -> dict[str, Artifact]:
        """Do what driver and launcher do around a container's process."""
        home = self.work / f"{name}-{uuid.uuid4().hex[:8]}"
        executor_input = self._drive(name, component, inputs, home)
        for content in inputs.artifacts.values():
            uri = content.artifacts[0].uri
            if not uri:
                continue
            self.store.download(uri, launcher_path(uri, home))
        for content in executor_input.outputs.artifacts.values():
            if content.artifacts[0].uri:
                launcher_path(content.artifacts[0].uri, home).parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        log = home / "log"
        if self.release != "2.4.0":
            logs = executor_input.outputs.artifacts[EXECUTOR_LOGS].artifacts[0]
            logs.uri += f"-{attempt}"
            log = launcher_path(logs.uri, home)
        result.handed_over[name] = json_format.MessageToDict(executor_input)
        placeholder = json_format.MessageToJson(executor_input, indent=None)
        command = [part.replace("{{$}}", placeholder) for part in [*container.command, *container.args]]
        if any(len(part.encode()) >= MAX_ARGUMENT_BYTES for part in command):
            raise TaskFailedError("argument list too long")
        # Open before the command runs, as with the launcher: nothing else may be made at that path.
        with _SLOTS, log.open("w", encoding="utf-8") as output:
            label = component.executor_label
            code = self._execute(command, home, self._mounts(label), self._secret_variables(label), output)
        result.logs[name] = log.read_text()
        if code:
            raise TaskFailedError(f"exit code {code}")
        return self._collect_outputs(executor_input, home)

    def _execute(
        self,
        command: list[str],
        home: Path,
        mounts: Mapping[str, Path],
        variables: Mapping[str, str],
        output: TextIO,
    ) -> int:
        """Run a task's command, with the paths of the volumes turned into this machine's, and return its exit code."""
        environment = {**image_environment(home), **variables}
        for inside, folder in mounts.items():
            command = [part.replace(f"{inside}/", f"{folder}/") for part in command]
        return self._start(command, environment, output)

    def _start(self, command: Sequence[str], environment: Mapping[str, str], output: TextIO) -> int:
        """Run a command in a process of its own, as a container does."""
        return subprocess.run(
            ["/usr/bin/env", *command],
            env=dict(environment),
            cwd=environment["PYTHONPATH"],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode

    def _drive(
        self, name: str, component: specs.ComponentSpec, inputs: specs.ExecutorInput.Inputs, home: Path
    ) -> specs.ExecutorInput:
        """Do what the driver does: decide where outputs go, those among them that the component does not define."""
        executor_input = specs.ExecutorInput(inputs=inputs)
        outputs = executor_input.outputs
        folder = f"{self.root}/{name}/{uuid.uuid4()}"
        for key, definition in component.output_definitions.artifacts.items():
            outputs.artifacts[key].artifacts.add(
                type=definition.artifact_type,
                uri=f"{folder}/{key}",
                metadata=definition.metadata if definition.HasField("metadata") else None,
            )
        if self.release == "2.4.0":
            outputs.output_file = str(home / "tmp" / "kfp_outputs" / "output_metadata.json")
            return executor_input
        logs = outputs.artifacts[EXECUTOR_LOGS].artifacts.add(uri=f"{folder}/{EXECUTOR_LOGS}")
        logs.type.schema_title = "system.Artifact"
        for key, content in outputs.artifacts.items():
            content.artifacts[0].name = key
            if self.release == "next" and content.artifacts[0].type.schema_title == METRICS:
                content.artifacts[0].ClearField("uri")
        outputs.output_file = str(launcher_path(f"{folder}/output_metadata.json", home))
        return executor_input

    def _mounts(self, executor_label: str) -> dict[str, Path]:
        """Return the folders of the mounted volumes by mount path."""
        return {mount["mountPath"]: self.volumes[mount["constant"]] for mount in self._pvc_mounts(executor_label)}

    def _pvc_mounts(self, executor_label: str) -> list[dict[str, Any]]:
        return self._of_pod(executor_label, "pvcMount")

    def _secret_variables(self, executor_label: str) -> dict[str, str]:
        """Return the environment variables that come from secrets."""
        return {
            pair["envVar"]: self.secrets[secret["secretName"]][pair["secretKey"]]
            for secret in self._of_pod(executor_label, "secretAsEnv")
            for pair in secret["keyToEnv"]
        }

    def _of_pod(self, executor_label: str, field_name: str) -> list[dict[str, Any]]:
        executors = self.platform.platforms["kubernetes"].deployment_spec.executors
        if executor_label not in executors:
            return []
        return json_format.MessageToDict(executors[executor_label]).get(field_name, [])

    def _collect_outputs(self, executor_input: specs.ExecutorInput, home: Path) -> dict[str, Artifact]:
        """Read the executor's output, upload what lies at local paths, and record the artifacts."""
        output = specs.ExecutorOutput()
        output_file = Path(executor_input.outputs.output_file)
        if output_file.exists():
            json_format.Parse(output_file.read_text(encoding="utf-8"), output)
        recorded = {}
        for key, content in executor_input.outputs.artifacts.items():
            artifact = content.artifacts[0]
            if output.artifacts[key].artifacts:
                said = output.artifacts[key].artifacts[0]
                artifact.uri = said.uri or artifact.uri
                artifact.metadata.MergeFrom(said.metadata)
            if artifact.uri and not artifact.uri.startswith(f"{self.root}/"):
                raise TaskFailedError(f"URI {artifact.uri!r} does not have expected bucket prefix {self.root!r}")
            local = launcher_path(artifact.uri, home) if artifact.uri else None
            if local is not None and local.exists():
                self.store.put(local, artifact.uri)
            recorded[key] = Artifact(str(next(_ARTIFACT_IDS)), artifact.uri, _through_metadata(artifact.metadata))
        return recorded


class ForkingExecutor(ConformingExecutor):
    """Runs each task in a fork of a process that has loaded TFX, which spares the time that this takes."""

    def _start(self, command: Sequence[str], environment: Mapping[str, str], output: TextIO) -> int:
        if command[:2] != ["python", "-m"]:
            return super()._start(command, environment, output)
        module, *arguments = command[2:]
        return run_module(module, arguments, environment, Path(environment["PYTHONPATH"]), Path(output.name))


class TaskFailedError(Exception):
    """A task did not do what the launcher needs."""


_CONDITION = re.compile(r"inputs\.artifacts\['(\w+)'\]\.artifacts\[0\]\.metadata\['(\w+)'\] > (\d+\.\d+)")


def holds(condition: str, inputs: specs.ExecutorInput.Inputs) -> bool:
    """Return whether a task's condition holds, of the one form that is used here.

    The driver evaluates CEL (`backend/src/v2/expression/expression.go`), whose numbers are not compared with others.
    """
    form = _CONDITION.fullmatch(condition)
    assert form, f"{condition}: not implemented"
    value = inputs.artifacts[form[1]].artifacts[0].metadata.fields[form[2]]
    assert value.WhichOneof("kind") == "number_value", f"{condition}: no number"
    return value.number_value > float(form[3])


def _is_left_out(task: specs.PipelineTaskSpec, result: RunResult) -> bool:
    """Return whether a task waits for one that is left out: `depends` in `argocompiler/dag.go` asks for success."""
    return not _runs_anyhow(task) and not set(task.dependent_tasks).isdisjoint(result.left_out)


def _runs_anyhow(task: specs.PipelineTaskSpec) -> bool:
    """Return whether a task waits for others to have ended, and not to have succeeded.

    `depends_exit_handler` in `backend/src/v2/compiler/argocompiler/dag.go`; Argo holds it back until all are over, and
    tasks that are left out are over too.
    """
    return task.trigger_policy.strategy == specs.PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED


def _through_metadata(metadata: Struct) -> Struct:
    """Return properties as they come back from ML Metadata: lists and structures wrapped, truth values as numbers."""
    kept = Struct()
    for name, value in metadata.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "null_value":
            raise TaskFailedError(f"unknown/unsupported value type of property {name!r}")
        if kind == "bool_value":
            kept[name] = float(value.bool_value)
        elif kind == "list_value":
            kept.get_or_create_struct(name).fields["list"].CopyFrom(value)
        elif kind == "struct_value":
            kept.get_or_create_struct(name).fields["struct"].CopyFrom(value)
        else:
            kept.fields[name].CopyFrom(value)
    return kept
