"""Submitting a compiled pipeline to a cluster, through the public client of Kubeflow Pipelines."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_server_api import (
    ExperimentServiceApi,
    HealthzServiceApi,
    PipelineServiceApi,
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
_MOST_FAILURES = 3
"""After this many questions in a row without an answer, a run is no longer waited for."""

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
    service_account
        Of Kubernetes, for the run's pods; None for the cluster's own.
    caching
        Whether tasks may be answered from the backend's cache, where the compiled pipeline lets them.
    """

    file: Path
    name: str | None = None
    experiment: str = "Default"
    pipeline_root: str | None = None
    parameters: Mapping[str, Any] | None = None
    service_account: str | None = None
    caching: bool = True


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
    if not request.caching:
        _switch_caching_off(documents)
    return {
        "display_name": request.name or request.file.stem,
        "experiment": request.experiment,
        "service_account": request.service_account,
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
    api = connect(connection)
    run = V2beta1Run(**what_to_run(api, described, connection.namespace))
    return api.require_id(api.ask(RunServiceApi, "create_run", run), "run_id", "a run")


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
    failures = 0
    while True:
        try:
            run = api.ask(RunServiceApi, "get_run", run_id)
        except InputError as error:
            # A run takes hours, in which an answer or two may fail.
            failures += 1
            if failures == _MOST_FAILURES:
                raise InputError(f"the run {run_id} goes on, and can't be watched: {error}", code=error.code) from error
            time.sleep(poll_seconds)
            continue
        failures = 0
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
            reason = run.get("error")
            message = reason.get("message") if isinstance(reason, dict) else None
            raise InputError(f"the run {run_id} ended as {state}" + (f": {message}" if message else ""), code="K02")
        time.sleep(poll_seconds)


@dataclass(frozen=True)
class RunState:
    """What the API says of a run.

    Attributes
    ----------
    run_id, name, state
        As the API has them; the state is empty where it has none yet.
    created_at, finished_at
        Times in ISO 8601, empty where there is none.
    error
        Why it failed, as far as the API knows.
    """

    run_id: str
    name: str
    state: str
    created_at: str
    finished_at: str
    error: str


def list_runs(connection: Connection, *, number: int, experiment: str | None = None) -> list[RunState]:
    """Return the last runs, the newest first.

    Parameters
    ----------
    connection
        The cluster.
    number
        How many at most.
    experiment
        Only those of an experiment, by its name.

    Raises
    ------
    InputError
        There is no such experiment, or the host can't be reached, refuses the request, or is not the API.
    """
    api = connect(connection)
    options: dict[str, Any] = {"page_size": number, "sort_by": "created_at desc"}
    if experiment is not None:
        found = _find_experiment(api, experiment, connection.namespace)
        if found is None:
            raise InputError(f"{api.host} has no experiment {experiment!r}", code="K05")
        options["experiment_id"] = api.require_id(found, "experiment_id", "an experiment")
    elif connection.namespace is not None:
        options["namespace"] = connection.namespace
    runs = objects_in(api.ask(RunServiceApi, "list_runs", **options), "runs")
    return [
        RunState(
            run_id=api.require_id(run, "run_id", "a run"),
            name=text_in(run, "display_name"),
            state=text_in(run, "state"),
            created_at=text_in(run, "created_at"),
            finished_at=text_in(run, "finished_at"),
            error=text_in(run["error"], "message") if isinstance(run.get("error"), dict) else "",
        )
        for run in runs[:number]
    ]


@dataclass(frozen=True)
class Upload:
    """A compiled pipeline on the cluster.

    Attributes
    ----------
    pipeline_id
        Of the pipeline, which may have other versions.
    version
        The version's name.
    is_new
        Whether it was stored now; False where the cluster had it already.
    """

    pipeline_id: str
    version: str
    is_new: bool


def upload(file: Path, connection: Connection, *, name: str | None = None, version: str | None = None) -> Upload:
    """Store a compiled pipeline on the cluster for others to run: a new pipeline, or a version of the one of that name.

    Parameters
    ----------
    file
        The compiled pipeline.
    connection
        The cluster.
    name
        The pipeline's on the cluster; None for its own.
    version
        The version's name; None for the first letters of the file's SHA-256, so that the same version is stored once.

    Raises
    ------
    InputError
        The backend would refuse the file, or the host can't be reached, refuses it, or is not the API.
    """
    spec = check_documents(read_file(file))
    name = name or spec.pipeline_info.name
    version = version or hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    api = connect(connection)
    where = {"namespace": connection.namespace} if connection.namespace is not None else {}
    named = objects_in(
        api.ask(PipelineServiceApi, "list_pipelines", filter=_equal("display_name", name), **where), "pipelines"
    )
    found = next((one for one in named if one.get("display_name") == name), None)
    if found is None:
        # The API itself makes the first version, and gives it the pipeline's name.
        stored = api.ask(PipelineUploadServiceApi, "upload_pipeline", str(file), name=name, **where)
        return Upload(api.require_id(stored, "pipeline_id", "a pipeline"), name, is_new=True)
    pipeline_id = api.require_id(found, "pipeline_id", "a pipeline")
    same = api.ask(PipelineServiceApi, "list_pipeline_versions", pipeline_id, filter=_equal("display_name", version))
    if any(one.get("display_name") == version for one in objects_in(same, "pipeline_versions")):
        return Upload(pipeline_id, version, is_new=False)
    stored = api.ask(
        PipelineUploadServiceApi, "upload_pipeline_version", str(file), name=version, pipelineid=pipeline_id
    )
    api.require_id(stored, "pipeline_version_id", "a version of a pipeline")
    return Upload(pipeline_id, version, is_new=True)


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


def connect(connection: Connection) -> Api:
    """Return the API, which has answered.

    Raises
    ------
    InputError
        The host can't be reached, refuses the request, or is not the API.
    """
    api = Api(connection)
    api.ask(HealthzServiceApi, "get_healthz")
    return api


def what_to_run(api: Api, described: Mapping[str, Any], namespace: str | None) -> dict[str, Any]:
    """Return what a run and a recurring run have in common, by the API's names.

    Parameters
    ----------
    api
        Where the experiment is looked for, and made if there is none.
    described
        As `describe_request` returns it.
    namespace
        The user's.
    """
    return {
        "display_name": described["display_name"],
        "experiment_id": _experiment_id(api, described["experiment"], namespace),
        "pipeline_spec": _as_sent(described["pipeline_spec"]),
        "runtime_config": V2beta1RuntimeConfig(**described["runtime_config"]),
        "service_account": described["service_account"],
    }


def objects_in(reply: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """Return the objects in a list of a reply; a field that is missing is an empty list, as in protobuf's JSON."""
    listed = reply.get(field)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def text_in(reply: Mapping[str, Any], field: str) -> str:
    """Return a field of a reply that is shown, as one line; an empty text if it has none."""
    value = reply.get(field)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _find_experiment(api: Api, name: str, namespace: str | None) -> Mapping[str, Any] | None:
    where = {"namespace": namespace} if namespace is not None else {}
    reply = api.ask(ExperimentServiceApi, "list_experiments", filter=_equal("display_name", name), **where)
    return next((one for one in objects_in(reply, "experiments") if one.get("display_name") == name), None)


def _experiment_id(api: Api, name: str, namespace: str | None) -> str:
    """Return the id of an experiment, which is made if there is none of that name."""
    experiment = _find_experiment(api, name, namespace)
    if experiment is None:
        body = V2beta1Experiment(display_name=name, namespace=namespace)
        experiment = api.ask(ExperimentServiceApi, "create_experiment", body)
    return api.require_id(experiment, "experiment_id", "an experiment")


def _equal(field: str, value: str) -> str:
    """Return a filter of the API."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": field, "stringValue": value}]})


def _switch_caching_off(documents: Sequence[Mapping[str, Any]]) -> None:
    spec = next(document for document in documents if "pipelineInfo" in document)
    for task in spec["root"]["dag"]["tasks"].values():
        task["cachingOptions"] = {"enableCache": False}


def _as_sent(documents: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return a compiled file's documents as the API takes them: KFP's own client sends them so."""
    spec = next(document for document in documents if "pipelineInfo" in document)
    platform = next((document for document in documents if "platforms" in document), None)
    return spec if platform is None else {"pipeline_spec": spec, "platform_spec": platform}
