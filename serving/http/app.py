"""The application: TensorFlow Serving's paths, the API with titles, the page, its reference, health and metrics."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import swagger_ui_bundle
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from data.errors import InputError
from data.version import __version__
from serving.http.api import REQUEST_ID_HEADER, find_version, make_api
from serving.http.guard import Figures, Guard
from serving.http.live_models import LiveModel, LiveModels
from serving.http.predict import BadRequestError, answer
from serving.http.predict_rows import predict_rows
from serving.http.request_log import RequestLog
from serving.labels import version_for

_LOG = logging.getLogger("next_movie.serve")
_STATIC = Path(__file__).with_name("static")
_SWAGGER = Path(swagger_ui_bundle.swagger_ui_path)

_PREDICT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"instances": [{"context_movie_id": [8, 2, 35]}]},
            }
        },
    }
}


class ServerSettings(BaseModel):
    """What a server allows.

    Attributes
    ----------
    max_body
        Bytes of the longest request.
    max_rows
        Rows in the largest `:predict` request.
    poll_seconds
        How often the folder is looked at for a newly published version.
    hosts
        Names under which the server may be asked; a browser that was led here under another one is refused. Empty
        for any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_body: int = Field(default=1 << 20, ge=1_024)
    max_rows: int = Field(default=256, ge=1)
    poll_seconds: float = Field(default=1.0, gt=0)
    hosts: tuple[str, ...] = ()


def make_app(
    models: LiveModels,
    settings: ServerSettings,
    when_started: Callable[[], None] = lambda: None,
    log: RequestLog | None = None,
) -> ASGIApp:
    """Return the application that serves a folder of versions.

    Parameters
    ----------
    models
        The folder's versions, one of which is served already.
    settings
        Limits.
    when_started
        Called once the server begins to answer, and may be stopped.
    log
        Where requests and feedback are written; None for nowhere.
    """
    figures = Figures()
    figures.registry.register(_VersionFigures(models))
    if log is not None:
        figures.registry.register(log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        ended = threading.Event()
        follower = threading.Thread(target=_follow, args=(models, settings.poll_seconds, ended), daemon=True)
        follower.start()
        # The first use of threads, and of the model in one, costs some 20 ms, which no caller should wait for.
        await run_in_threadpool(models.current.recommender.recommend, [])
        if log is not None:
            log.start()
        when_started()
        yield
        ended.set()
        if log is not None:
            await run_in_threadpool(log.close)

    app = FastAPI(
        title="Next movie",
        summary="A published retrieval model: what to watch next, by what was watched before.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    # The newest that the bundled reference page can show.
    app.openapi_version = "3.0.2"
    _add_tensorflow_serving(app, models, settings, log)
    app.include_router(make_api(models, log))
    _add_operations(app, models, figures)
    _add_pages(app)
    _answer_errors_in_one_form(app)
    guarded: ASGIApp = Guard(app, settings.max_body, figures, _endpoint)
    return TrustedHostMiddleware(guarded, allowed_hosts=list(settings.hosts) or ["*"], www_redirect=False)


class _VersionFigures(Collector):
    """What Prometheus is told about versions, asked of the models at each scrape."""

    def __init__(self, models: LiveModels) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """Yield the version that is served, and how many were loaded and could not be."""
        yield GaugeMetricFamily(
            "next_movie_model_version", "The version that is served.", value=self._models.current.version
        )
        loads = CounterMetricFamily("next_movie_model_loads", "Versions by how loading them ended.", labels=["result"])
        loads.add_metric(["loaded"], self._models.loads)
        loads.add_metric(["failed"], self._models.failures)
        yield loads


def _follow(models: LiveModels, seconds: float, ended: threading.Event) -> None:
    while not ended.wait(seconds):
        _look(models)


def _look(models: LiveModels) -> None:
    try:
        models.follow()
    except Exception:  # whatever it is, the version in memory is served on, and the folder looked at again
        _LOG.exception("the folder of versions could not be looked at")


def _add_tensorflow_serving(app: FastAPI, models: LiveModels, settings: ServerSettings, log: RequestLog | None) -> None:
    """Add TensorFlow Serving's paths: `/v1/models/NAME`, with a version or without one."""
    tags: list[str | Enum] = ["TensorFlow Serving's paths"]
    name = "/v1/models/{name}"
    version = f"{name}/versions/{{version}}"

    async def predict(request: Request, name: str, version: int | None = None, label: str | None = None) -> Response:
        model = await _find(models, name, version, label)
        body = await request.body()
        try:
            content = await run_in_threadpool(answer, model.recommender.signatures, body, settings.max_rows)
        except BadRequestError as error:
            raise HTTPException(400, str(error)) from error
        headers = {}
        if log is not None and (request_id := log.new_request_id()) is not None:
            headers[REQUEST_ID_HEADER] = request_id
            rows = partial(predict_rows, body, content, model.recommender.catalogue.pad)
            log.add_answers(request_id, model.version, rows, len(body) + len(content))
        return Response(content, media_type="application/json", headers=headers)

    async def status(name: str, version: int | None = None, label: str | None = None) -> dict[str, Any]:
        model = await _find(models, name, version, label)
        state = {
            "version": str(model.version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return {"model_version_status": [state]}

    async def metadata(name: str, version: int | None = None, label: str | None = None) -> Response:
        model = await _find(models, name, version, label)
        return Response(await run_in_threadpool(_metadata, models, model), media_type="application/json")

    labelled = f"{name}/labels/{{label}}"
    for path, which in ((name, ""), (version, " of a version"), (labelled, " of the version with a label")):
        app.add_api_route(
            f"{path}:predict",
            predict,
            methods=["POST"],
            tags=tags,
            summary=f"Ask a signature{which}",
            openapi_extra=_PREDICT_BODY,
            response_model=None,
        )
        app.add_api_route(
            f"{path}/metadata", metadata, tags=tags, summary=f"The signatures{which}", response_model=None
        )
        app.add_api_route(path, status, tags=tags, summary=f"The state{which}")


async def _find(models: LiveModels, name: str, version: int | None, label: str | None) -> LiveModel:
    if name != models.name:
        raise HTTPException(404, f"there is no model {name!r}: this server has {models.name}")
    if label is not None:
        try:
            version = await run_in_threadpool(version_for, models.folder, label)
        except InputError as error:
            raise HTTPException(404, error.message) from error
    if version is None or version == models.current.version:
        return models.current
    return await run_in_threadpool(find_version, models, version)


def _metadata(models: LiveModels, model: LiveModel) -> bytes:
    """Return the signatures as TensorFlow Serving's `GetModelMetadata` does, in its own message's JSON."""
    from google.protobuf.json_format import MessageToDict
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

    saved = SavedModel.FromString((models.folder / str(model.version) / "saved_model.pb").read_bytes())
    signatures = SignatureDefMap(signature_def=saved.meta_graphs[0].signature_def)
    content = {
        "model_spec": {"name": models.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": MessageToDict(signatures, preserving_proto_field_name=True)},
    }
    return orjson.dumps(content)


def _add_operations(app: FastAPI, models: LiveModels, figures: Figures) -> None:
    tags: list[str | Enum] = ["operations"]

    @app.get("/healthz", tags=tags, summary="Whether a model is served")
    async def healthz() -> dict[str, Any]:
        if not models.is_ready:
            raise HTTPException(503, "no model is loaded yet")
        return {"status": "ok", "model": models.name, "version": models.current.version}

    @app.get("/metrics", tags=tags, summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)


def _add_pages(app: FastAPI) -> None:
    """Add the page and the reference of the API, which need nothing from elsewhere."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def reference() -> FileResponse:
        return FileResponse(_STATIC / "docs.html")

    app.mount("/static", StaticFiles(directory=_STATIC))
    app.mount("/swagger", StaticFiles(directory=_SWAGGER))


def _answer_errors_in_one_form(app: FastAPI) -> None:
    """Answer every error as TensorFlow Serving does: `{"error": "..."}`."""

    @app.exception_handler(AnyHTTPException)
    async def refuse(_: Request, error: AnyHTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_input(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: {first['msg']}"}, 400)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return JSONResponse({"error": "the server failed; its log has the reason"}, 500)


def _endpoint(path: str) -> str:
    """Return what a path is counted as."""
    if path.endswith(":predict"):
        return "predict"
    first, _, rest = path.strip("/").partition("/")
    if first == "api":
        return f"api/{rest}" if rest in {"model", "movies", "similar", "recommend", "feedback"} else "api"
    return first if first in {"v1", "healthz", "metrics", "static", "swagger", "docs", "openapi.json"} else "page"
