"""Submitting a compiled pipeline to a cluster, through the public client of Kubeflow Pipelines."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_server_api import (
    ExperimentServiceApi,
    HealthzServiceApi,
    PipelineUploadServiceApi,
    RunServiceApi,
    V2beta1Experiment,
    V2beta1Run,
    V2beta1RuntimeConfig,
)

from data.errors import InputError
from pipeline.kubeflow.backend_rules import check_documents, check_run, read_documents
from pipeline.kubeflow.connection import Api, Connection

_POLL_SECONDS = 5.0
_SUCCEEDED = "SUCCEEDED"
_ENDED = frozenset((_SUCCEEDED, "FAILED", "SKIPPED", "CANCELED"))
_GOES_ON = frozenset(("RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "CANCELING", "PAUSED"))
"""The states of a run: `RuntimeState` in the API."""


@dataclass(frozen=True)
class RunRequest:
    """A run to start.

    Attributes
    ----------
    file
        The compiled pipeline.
    name
        Shown for the run; None for the file's name and the time.
    experiment
        Groups runs.
    pipeline_root
        None for the one that was compiled in.
    parameters
        What the run chooses, by name.
    """

    file: Path
    name: str | None = None
    experiment: str = "Default"
    pipeline_root: str | None = None
    parameters: Mapping[str, Any] | None = None


def describe_request(request: RunRequest) -> dict[str, Any]:
    """Return what `submit` would send, checked.

    Raises
    ------
    InputError
        The backend would refuse the file or the run.
    """
    documents = read_file(request.file)
    spec = check_documents(documents)
    root = request.pipeline_root or spec.default_pipeline_root or None
    parameters = dict(request.parameters or {})
    check_run(spec, parameters, root)
    return {
        "display_name": request.name or request.file.stem,
        "experiment": request.experiment,
        "runtime_config": {"pipeline_root": root, "parameters": parameters},
        "pipeline_spec": documents,
    }


def submit(request: RunRequest, connection: Connection) -> str:
    """Start a run, and return its id.

    Parameters
    ----------
    request
        The run.
    connection
        The cluster.

    Raises
    ------
    InputError
        The request can't be right, or the host can't be reached, refuses it, or is not the API.
    """
    described = describe_request(request)
    api = _connect(connection)
    run = V2beta1Run(
        experiment_id=_experiment_id(api, request.experiment, connection.namespace),
        display_name=described["display_name"],
        pipeline_spec=_as_sent(described["pipeline_spec"]),
        runtime_config=V2beta1RuntimeConfig(**described["runtime_config"]),
    )
    return api.require_id(api.ask(RunServiceApi(api.client).create_run, body=run), "run_id", "a run")


def wait_for_run(run_id: str, connection: Connection, *, poll_seconds: float = _POLL_SECONDS) -> None:
    """Return when a run has ended well.

    Parameters
    ----------
    run_id
        The run.
    connection
        The cluster.
    poll_seconds
        How long it is left alone between two questions.

    Raises
    ------
    InputError
        The run failed or was cancelled, or the host can't be asked any more.
    """
    api = Api(connection)
    while True:
        run = api.ask(RunServiceApi(api.client).get_run, run_id)
        state = run.get("state", "RUNTIME_STATE_UNSPECIFIED")
        if run.get("run_id") != run_id or not isinstance(state, str) or state not in _ENDED | _GOES_ON:
            raise InputError(
                f"{api.host} answers with another thing than the state of the run {run_id}, which was started: look at "
                "it on the cluster's page",
                code="K01",
            )
        if state == _SUCCEEDED:
            return
        if state in _ENDED:
            error = run.get("error")
            message = error.get("message") if isinstance(error, dict) else None
            raise InputError(f"the run {run_id} ended as {state}" + (f": {message}" if message else ""), code="K02")
        time.sleep(poll_seconds)


def upload(file: Path, connection: Connection, *, name: str | None = None) -> str:
    """Store a compiled pipeline on the cluster for others to run, and return its id.

    Raises
    ------
    InputError
        The backend would refuse the file, or the host can't be reached, refuses it, or is not the API.
    """
    spec = check_documents(read_file(file))
    api = _connect(connection)
    chosen = {"name": name or spec.pipeline_info.name, "namespace": connection.namespace}
    given = {option: value for option, value in chosen.items() if value is not None}
    stored = api.ask(PipelineUploadServiceApi(api.client).upload_pipeline, str(file), **given)
    return api.require_id(stored, "pipeline_id", "a pipeline")


def read_file(file: Path) -> list[dict[str, Any]]:
    """Return the documents of a compiled file.

    Raises
    ------
    InputError
        It is no YAML file, or can't be read.
    """
    if file.suffix not in {".yaml", ".yml"}:
        raise InputError(f"{file} is not a .yaml file: compile the pipeline with --backend kfp", code="K03")
    try:
        return read_documents(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}", code="K04") from error


def _connect(connection: Connection) -> Api:
    """Return the API, which has answered."""
    api = Api(connection)
    api.ask(HealthzServiceApi(api.client).get_healthz)
    return api


def _experiment_id(api: Api, name: str, namespace: str | None) -> str:
    """Return the id of an experiment, which is made if there is none of that name."""
    experiments = ExperimentServiceApi(api.client)
    of_that_name = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    where = {"namespace": namespace} if namespace is not None else {}
    listed = api.ask(experiments.list_experiments, filter=json.dumps(of_that_name), **where).get("experiments")
    experiment: Mapping[str, Any] | None = None
    if isinstance(listed, list):
        experiment = next((one for one in listed if isinstance(one, dict) and one.get("display_name") == name), None)
    if experiment is None:
        experiment = api.ask(
            experiments.create_experiment, body=V2beta1Experiment(display_name=name, namespace=namespace)
        )
    return api.require_id(experiment, "experiment_id", "an experiment")


def _as_sent(documents: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return a compiled file's documents as the API takes them: KFP's own client sends them so."""
    spec = next(document for document in documents if "pipelineInfo" in document)
    platform = next((document for document in documents if "platforms" in document), None)
    return spec if platform is None else {"pipeline_spec": spec, "platform_spec": platform}
