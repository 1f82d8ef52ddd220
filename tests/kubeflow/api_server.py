"""A stub of the API server of Kubeflow Pipelines on the loopback interface, which applies the backend's rules."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from server_rules import check_documents, check_run

from pipeline.kubeflow.backend_rules import RefusedError, read_documents

ROOT = "/apis/v2beta1"
PAGE_SIZE = 2
RUN_ID = "8f6f3c0e-0000-4000-8000-000000000001"


class ApiServer:
    """Serves at `url` within a `with` block, and keeps what it receives in `runs` and `uploads`.

    Parameters
    ----------
    execute
        Runs what was submitted and returns the run's state and error; by default runs succeed at once.
    """

    def __init__(self, execute: Callable[[dict[str, Any]], tuple[str, str | None]] | None = None) -> None:
        self.runs: list[dict[str, Any]] = []
        self.uploads: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.schedules: dict[str, dict[str, Any]] = {}
        self.experiments: list[str] = []
        self.execute = execute or (lambda _: ("SUCCEEDED", None))
        self.ended: tuple[str, str | None] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._workers: list[threading.Thread] = []

    def __enter__(self) -> ApiServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.join()
        self._server.shutdown()
        self._server.server_close()

    def create_run(self, body: dict[str, Any]) -> dict[str, Any]:
        content = body["pipeline_spec"]
        documents = [content["pipeline_spec"], content["platform_spec"]] if "platform_spec" in content else [content]
        runtime = body.get("runtime_config", {})
        check_run(check_documents(documents), runtime.get("parameters", {}), runtime.get("pipeline_root"))
        self.runs.append(body)
        worker = threading.Thread(target=self._execute, args=(body,))
        self._workers.append(worker)
        worker.start()
        return {"run_id": RUN_ID, "state": "PENDING"}

    def _execute(self, body: dict[str, Any]) -> None:
        self.ended = self.execute(body)

    def run_state(self) -> dict[str, Any]:
        if self.ended is None:
            return {"run_id": RUN_ID, "state": "RUNNING"}
        state, error = self.ended
        return {"run_id": RUN_ID, "state": state, **({"error": {"code": 13, "message": error}} if error else {})}

    def upload(self, query: dict[str, list[str]], text: str) -> dict[str, Any]:
        documents = read_documents(text)
        check_documents(documents)
        if "pipelineid" in query:
            self.versions.append({"display_name": query["name"][0], "pipeline_version_id": f"v{len(self.versions)}"})
            return {"pipeline_id": query["pipelineid"][0], **self.versions[-1]}
        self.uploads.append({"name": query["name"][0], "documents": documents})
        return {"pipeline_id": "stored-pipeline", "display_name": query["name"][0]}

    def schedule(self, body: dict[str, Any]) -> dict[str, Any]:
        content = body["pipeline_spec"]
        documents = [content["pipeline_spec"], content["platform_spec"]] if "platform_spec" in content else [content]
        runtime = body.get("runtime_config", {})
        check_run(check_documents(documents), runtime.get("parameters", {}), runtime.get("pipeline_root"))
        schedule_id = f"schedule-{len(self.schedules)}"
        self.schedules[schedule_id] = {**body, "recurring_run_id": schedule_id, "status": f"{body['mode']}D"}
        return self.schedules[schedule_id]

    def change(self, schedule_id: str, action: str) -> dict[str, Any]:
        if action == "delete":
            del self.schedules[schedule_id]
        else:
            self.schedules[schedule_id]["status"] = action.upper() + "D"
        return {}

    def list(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        """Return what a list holds; lists without anything have no field for it, as in protobuf's JSON."""
        kind = path.rsplit("/", 1)[1]
        field, listed = {
            "experiments": ("experiments", [{"experiment_id": "an-experiment", "display_name": self.experiments[-1]}])
            if self.experiments
            else ("experiments", []),
            "pipelines": (
                "pipelines",
                [{"pipeline_id": "stored-pipeline", "display_name": stored["name"]} for stored in self.uploads],
            ),
            "versions": ("pipeline_versions", self.versions),
            "recurringruns": ("recurringRuns", list(self.schedules.values())),
            "runs": ("runs", [{**body, "run_id": RUN_ID, "state": "RUNNING"} for body in self.runs]),
        }[kind]
        for predicate in json.loads(query.get("filter", ["{}"])[0]).get("predicates", []):
            listed = [one for one in listed if one[predicate["key"]] == predicate["stringValue"]]
        # A page at a time, so that readers have to ask for the next.
        first = int(query.get("page_token", ["0"])[0])
        page, rest = listed[first : first + PAGE_SIZE], listed[first + PAGE_SIZE :]
        following = {"next_page_token": str(first + PAGE_SIZE)} if rest else {}
        return {**({field: page} if page else {}), **following}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                if path == f"{ROOT}/healthz":
                    self.answer(200, {"multi_user": False})
                elif re.fullmatch(f"{ROOT}/(experiments|pipelines|pipelines/[^/]+/versions|recurringruns|runs)", path):
                    self.answer(200, server.list(path, parse_qs(urlsplit(self.path).query)))
                elif path.startswith(f"{ROOT}/recurringruns/") and path.rsplit("/", 1)[1] in server.schedules:
                    self.answer(200, server.schedules[path.rsplit("/", 1)[1]])
                elif path == f"{ROOT}/runs/{RUN_ID}":
                    self.answer(200, server.run_state())
                else:
                    self.answer(404, {"message": f"no {path}"})

            def do_DELETE(self) -> None:
                self.answer(200, server.change(urlsplit(self.path).path.rsplit("/", 1)[1], "delete"))

            def do_POST(self) -> None:
                parts = urlsplit(self.path)
                content = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    if parts.path == f"{ROOT}/experiments":
                        server.experiments.append(json.loads(content)["display_name"])
                        self.answer(200, {"experiment_id": "an-experiment", "display_name": server.experiments[-1]})
                    elif parts.path == f"{ROOT}/runs":
                        self.answer(200, server.create_run(json.loads(content)))
                    elif parts.path == f"{ROOT}/recurringruns":
                        self.answer(200, server.schedule(json.loads(content)))
                    elif match := re.fullmatch(f"{ROOT}/recurringruns/([^/]+):(enable|disable)", parts.path):
                        self.answer(200, server.change(match[1], match[2]))
                    elif parts.path in (f"{ROOT}/pipelines/upload", f"{ROOT}/pipelines/upload_version"):
                        self.answer(200, server.upload(parse_qs(parts.query), _file_part(content)))
                    else:
                        self.answer(404, {"message": f"no {parts.path}"})
                except RefusedError as error:
                    self.answer(400, {"error": str(error), "code": 3})

            def answer(self, status: int, body: dict[str, Any]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


def _file_part(multipart: bytes) -> str:
    """Return the one file of a form."""
    text = multipart.decode()
    boundary = text.partition("\r\n")[0]
    body = re.split(r"\r\n\r\n", text, maxsplit=1)[1]
    return body.partition(f"\r\n{boundary}")[0]
