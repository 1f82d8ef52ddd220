"""Submitting a compiled pipeline to a cluster, through the public client of Kubeflow Pipelines."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from pipeline.kubeflow.backend_rules import check_documents, check_run, read_documents

if TYPE_CHECKING:
    import kfp

_CONNECT_SECONDS = 10.0
_HEALTH = "/apis/v2beta1/healthz"
_SUCCEEDED = "SUCCEEDED"


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
    namespace
        Where the run belongs on a cluster with several users; None on others.
    pipeline_root
        None for the one that was compiled in.
    parameters
        What the run chooses, by name.
    """

    file: Path
    name: str | None = None
    experiment: str = "Default"
    namespace: str | None = None
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
        "namespace": request.namespace,
        "runtime_config": {"pipeline_root": root, "parameters": parameters},
        "pipeline_spec": documents,
    }


def submit(request: RunRequest, host: str, *, wait: bool = False) -> str:
    """Start a run, and return its id.

    Parameters
    ----------
    request
        The run.
    host
        URL of the API server or of its proxy.
    wait
        Return only when the run has ended.

    Raises
    ------
    InputError
        The request can't be right, the host can't be reached or refuses it, or the run that was waited for failed.
    """
    sent = describe_request(request)
    with _client(host, request.namespace) as client:
        run = client.create_run_from_pipeline_package(
            str(request.file),
            arguments=sent["runtime_config"]["parameters"],
            run_name=sent["display_name"],
            experiment_name=request.experiment,
            namespace=request.namespace,
            pipeline_root=sent["runtime_config"]["pipeline_root"],
        )
        if wait:
            ended = run.wait_for_run_completion()
            if ended.state != _SUCCEEDED:
                reason = f": {ended.error.message}" if ended.error is not None else ""
                raise InputError(f"the run {run.run_id} ended as {ended.state}{reason}")
    return run.run_id


def upload(file: Path, host: str, *, name: str | None = None, namespace: str | None = None) -> str:
    """Store a compiled pipeline on the cluster for others to run, and return its id.

    Raises
    ------
    InputError
        The backend would refuse the file, or the host can't be reached or refuses it.
    """
    spec = check_documents(read_file(file))
    with _client(host, namespace) as client:
        stored = client.upload_pipeline(str(file), pipeline_name=name or spec.pipeline_info.name, namespace=namespace)
    return stored.pipeline_id


def read_file(file: Path) -> list[dict[str, Any]]:
    """Return the documents of a compiled file.

    Raises
    ------
    InputError
        It is no YAML file, or can't be read.
    """
    if file.suffix not in {".yaml", ".yml"}:
        raise InputError(f"{file} is not a .yaml file: compile the pipeline with --backend kfp")
    try:
        return read_documents(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _client(host: str, namespace: str | None) -> Iterator[kfp.Client]:
    """Yield a connected client, and turn what it raises into one line."""
    _check_reachable(host)
    import kfp
    import kfp_server_api
    import urllib3

    # The client logs a traceback for each of its attempts.
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The client itself finds credentials: kubeconfig, its own context file or environment variables.
            yield kfp.Client(host=host, **({"namespace": namespace} if namespace else {}))
    except kfp_server_api.ApiException as error:
        said = " ".join(str(error.body or error.reason or error).split())
        raise InputError(f"{host} refused the request ({error.status}): {said}") from error
    except (urllib3.exceptions.HTTPError, TimeoutError, OSError) as error:
        raise InputError(f"{host} does not answer: {' '.join(str(error).split())}") from error
    finally:
        logging.disable(logging.NOTSET)


def _check_reachable(host: str) -> None:
    """Check that the host answers: the client itself would retry for half a minute."""
    if not host.startswith(("http://", "https://")):
        raise InputError(f"the host {host!r} is not a URL: it starts with http:// or https://")
    try:
        urllib.request.urlopen(host.rstrip("/") + _HEALTH, timeout=_CONNECT_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            raise InputError(f"{host} is no API server of Kubeflow Pipelines: it has no {_HEALTH}") from error
        # Permissions are left to the client, which brings credentials.
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{host} can't be reached: {reason}") from error
