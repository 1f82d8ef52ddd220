"""What every container of a compiled pipeline runs: `python -m pipeline.kubeflow.entrypoint`.

It bridges the differences between Kubeflow's launcher and TFX's executors. The launcher passes remote URIs, which TFX's
and our own code can't open, but keeps local folders in step with them; it passes input artifacts without a type; it
runs no driver; it can't pass "no artifact"; and it adds outputs of its own to a task's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from components.naming import ABSENT, ARTIFACTS_MODULE, NAMESPACE, SHOWN_TYPES, SPAN_PROPERTY, SPANS_PROPERTY
from components.spans.ledger import REFUSALS, keep_progress
from data.command import CommandParser
from data.environment import prepare_environment
from data.errors import InputError, one_line
from pipeline.kubeflow.run_parameters import apply_epochs, pass_beam_args, take_beam_args
from pipeline.kubeflow.task_states import FAILED, RUNNING, SUCCEEDED, TaskState, locate, write_state
from pipeline.kubeflow.uris import to_local, to_remote
from pipeline.tfx_imports import defer_cloud_extensions, without_garbage_collection

LAUNCHER_ROOT_VARIABLE = "NEXT_MOVIE_LAUNCHER_ROOT"
"""Environment variable that names the folder in which the launcher's folders `gcs`, `s3` and `minio` lie."""

EXIT_INPUT_ERROR = 2

_METRICS = SHOWN_TYPES["ScalarMetrics"]
_INPUT_BASE = "input_base"
_INPUT_CONFIG = "input_config"
_DATA = "data"
"""ExampleGen's input that stands in for its property `input_base`; with spans the first task puts it out."""

_SPAN = f"custom:{SPAN_PROPERTY}"
"""How TFX spells the property that Examples have, as one of their type's and besides."""

_OF_THE_SPAN = ("examples", "statistics")
"""Inputs of the gates that bear the span's number."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the task and end the process."""
    options, beam_args = _parse(arguments)
    prepare_environment()
    defer_cloud_extensions()
    keep_state = _state_keeper(options)
    keep_state(TaskState(RUNNING))
    try:
        code, state = 0, run_task(options, beam_args, os.environ.get(LAUNCHER_ROOT_VARIABLE, "/"))
    except InputError as error:
        print(f"error: {error.line}", file=sys.stderr)
        _keep_refusal(options, error)
        code, state = EXIT_INPUT_ERROR, TaskState(FAILED, error.line)
    except Exception as error:
        traceback.print_exc()
        code, state = 1, TaskState(FAILED, one_line(error))
    keep_state(state)
    sys.stdout.flush()
    sys.stderr.flush()
    # The task's work is done and written, or has failed. Native libraries that abort while the interpreter takes
    # itself apart must not turn the one into the other.
    os._exit(code)


def _state_keeper(options: argparse.Namespace) -> Callable[[TaskState], None]:
    """Return what leaves the task's state for the run's last task; nothing is left where no folder is named."""
    located = None
    if options.states is not None:
        outputs = json.loads(options.json_serialized_invocation_args).get("outputs", {}).get("artifacts", {})
        located = locate([artifact.get("uri", "") for _, artifact in _each(outputs)], options.states.name)

    def keep(state: TaskState) -> None:
        if located is None:
            return
        try:
            write_state(options.states, *located, state)
        except OSError as error:
            # The task's work counts, and not what is said of it.
            print(f"the state of the task can't be kept: {error}", file=sys.stderr)

    return keep


def _keep_refusal(options: argparse.Namespace, error: InputError) -> None:
    """Keep that a gate refused the span which the task's input is of, so that later runs go on behind it."""
    if options.ledger is None or error.code not in REFUSALS:
        return
    inputs = json.loads(options.json_serialized_invocation_args)["inputs"]["artifacts"]
    known = dict(_each({name: inputs[name] for name in _OF_THE_SPAN if name in inputs}))
    (span, *_) = [artifact["metadata"][_SPAN] for artifact in known.values()]
    try:
        keep_progress(options.ledger, int(span), outcome="refused", reason=error.line)
    except OSError as fault:
        print(f"that the span is refused can't be kept: {fault}", file=sys.stderr)


def run_task(options: argparse.Namespace, beam_args: Sequence[str], launcher_root: str) -> TaskState:
    """Run one task on local paths, write its output with remote ones, and return its state, with the metrics put out.

    Parameters
    ----------
    options
        `executor_class_path`, the JSON of `ExecutorInput` and of the component's inputs as
        `json_serialized_invocation_args` and `json_serialized_inputs_spec_args`, and `output_names`, as for `localize`.
    beam_args
        Options for Beam.
    launcher_root
        Folder of the launcher's folders.
    """
    inputs_spec = json.loads(options.json_serialized_inputs_spec_args)
    invocation = json.loads(options.json_serialized_invocation_args)
    outputs = _each(invocation["outputs"].get("artifacts", {}))
    measuring = [name for name, artifact in outputs if artifact.get("type", {}).get("schemaTitle") == _METRICS]
    beam_args = [*beam_args, *localize(invocation, inputs_spec, launcher_root, options.output_names)]
    pass_beam_args(invocation["inputs"].get("parameterValues", {}), beam_args)
    # Imported late: TFX takes its time, and a broken invocation need not wait for it.
    with without_garbage_collection():
        from data.beam_options import DEFAULT_ARGS
        from pipeline.kubeflow import tfx_internals

    for _, artifact in _each(invocation["outputs"].get("artifacts", {})):
        # The launcher makes the folder above; TFX's local runners make this one too, and components rely on it.
        if artifact["uri"]:
            Path(artifact["uri"]).mkdir(parents=True, exist_ok=True)
    as_json = json.dumps(invocation)
    if _INPUT_CONFIG in invocation["inputs"].get("parameterValues", {}):
        # A file-based ExampleGen. Open-source Kubeflow Pipelines runs no driver before the task.
        tfx_internals.run_file_based_driver(as_json, options.json_serialized_inputs_spec_args)
    tfx_internals.run_executor(
        options.executor_class_path,
        as_json,
        options.json_serialized_inputs_spec_args,
        [*DEFAULT_ARGS, *beam_args],
    )
    output_file = Path(invocation["outputs"]["outputFile"])
    output = json.loads(output_file.read_text(encoding="utf-8"))
    output_file.write_text(json.dumps(globalize(output, launcher_root)), encoding="utf-8")
    put_out = {name: artifact.get("metadata", {}) for name, artifact in _each(output.get("artifacts", {}))}
    metrics = {key: value for name in measuring for key, value in put_out.get(name, {}).items()}
    # As the condition of the task that follows has it.
    return TaskState(SUCCEEDED, metrics=metrics, ends_run=put_out.get(_DATA, {}).get(SPAN_PROPERTY) == 0)


def localize(
    invocation: dict[str, Any],
    inputs_spec: dict[str, Any],
    launcher_root: str,
    output_names: Collection[str] | None = None,
) -> list[str]:
    """Turn an `ExecutorInput`, in place, into one that TFX can work with.

    Artifacts get local paths and the types of the component's definition, one that stands for several becomes these,
    absent ones and those that the component does not define are left out, and what the run chose is put into the
    parameters.

    Parameters
    ----------
    invocation
        `ExecutorInput` as JSON has it.
    inputs_spec
        `ComponentInputsSpec` as JSON has it.
    launcher_root
        Folder of the launcher's folders.
    output_names
        The outputs that the component defines; None, as in files that were compiled without them, stands for all that
        are handed over.

    Returns
    -------
    list[str]
        The run's options for Beam.
    """
    inputs, outputs = invocation.setdefault("inputs", {}), invocation["outputs"]
    artifacts = inputs.setdefault("artifacts", {})
    types = {name: spec["artifactType"] for name, spec in inputs_spec.get("artifacts", {}).items()}
    _keep_only(artifacts, types)
    if output_names is not None:
        # Others are the launcher's own, such as the file `executor-logs`, which is open already.
        _keep_only(outputs.get("artifacts", {}), output_names)
        _keep_only(outputs.get("parameters", {}), output_names)
    for name in [name for name, artifact in _each(artifacts) if artifact.get("metadata", {}).get(ABSENT)]:
        del artifacts[name]
    for content in artifacts.values():
        content["artifacts"] = [part for artifact in content.get("artifacts", []) for part in _parts(artifact)]
    for name, artifact in _each(artifacts):
        artifact["type"] = types[name]
    for _, artifact in [*_each(artifacts), *_each(outputs.get("artifacts", {}))]:
        artifact["type"] = _with_class(artifact["type"])
        # Metrics alone need no place.
        artifact["uri"] = to_local(artifact.get("uri", ""), launcher_root)
    outputs["outputFile"] = to_local(outputs["outputFile"], launcher_root)
    parameters = inputs.setdefault("parameterValues", {})
    if _INPUT_BASE in parameters and _DATA in artifacts:
        parameters[_INPUT_BASE] = artifacts[_DATA]["artifacts"][0]["uri"]
    apply_epochs(parameters)
    return take_beam_args(parameters)


def _keep_only(content: dict[str, Any], names: Collection[str]) -> None:
    """Remove all keys but those named."""
    for name in content.keys() - set(names):
        del content[name]


def _each(artifacts: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the artifacts with the names of the inputs or outputs that they are of, of which each may have none."""
    return [(name, artifact) for name, content in artifacts.items() for artifact in content.get("artifacts", [])]


def _parts(artifact: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the artifacts that one stands for."""
    metadata = artifact.get("metadata", {})
    if SPANS_PROPERTY not in metadata:
        return [artifact]
    return [
        {
            **artifact,
            "name": f"{artifact.get('name', '')}/{span}",
            "uri": f"{artifact['uri']}/span-{span}",
            "metadata": {**metadata, _SPAN: span},
        }
        for span in json.loads(metadata[SPANS_PROPERTY])
    ]


def _with_class(artifact_type: dict[str, Any]) -> dict[str, Any]:
    """Return an artifact's type with the class in place of a name of ours: TFX imports what it does not know."""
    schema = yaml.safe_load(artifact_type.get("instanceSchema", "")) or {"title": artifact_type.get("schemaTitle", "")}
    ours = {shown: f"{NAMESPACE}.{name}" for name, shown in SHOWN_TYPES.items()}
    namespace, _, name = ours.get(schema["title"], schema["title"]).partition(".")
    if namespace != NAMESPACE:
        return artifact_type
    return {"instanceSchema": yaml.safe_dump({**schema, "title": f"{ARTIFACTS_MODULE}.{name}"}, sort_keys=False)}


def globalize(output: Any, launcher_root: str) -> Any:
    """Return an `ExecutorOutput` with remote URIs in place of local paths, and without nulls.

    The launcher refuses a null among an artifact's properties.
    """
    if isinstance(output, dict):
        return {name: globalize(value, launcher_root) for name, value in output.items() if value is not None}
    if isinstance(output, list):
        return [globalize(value, launcher_root) for value in output]
    return to_remote(output, launcher_root) if isinstance(output, str) else output


def _split(names: str) -> list[str]:
    return names.split(",") if names else []


def _parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = CommandParser(prog="python -m pipeline.kubeflow.entrypoint", allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
    parser.add_argument("--output_names", type=_split, metavar="NAME,NAME")
    parser.add_argument("--states", type=Path, metavar="FOLDER")
    parser.add_argument("--ledger", type=Path, metavar="FOLDER")
    return parser.parse_known_args(arguments)


if __name__ == "__main__":
    main()
