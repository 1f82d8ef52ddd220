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
        self.uploads.append({"name": query["name"][0], "documents": documents})
        return {"pipeline_id": "stored-pipeline", "display_name": query["name"][0]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                if path == f"{ROOT}/healthz":
                    self.answer(200, {"multi_user": False})
                elif path == f"{ROOT}/experiments":
                    self.answer(200, {})
                elif path == f"{ROOT}/runs/{RUN_ID}":
                    self.answer(200, server.run_state())
                else:
                    self.answer(404, {"message": f"no {path}"})

            def do_POST(self) -> None:
                parts = urlsplit(self.path)
                content = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    if parts.path == f"{ROOT}/experiments":
                        server.experiments.append(json.loads(content)["display_name"])
                        self.answer(200, {"experiment_id": "an-experiment", "display_name": server.experiments[-1]})
                    elif parts.path == f"{ROOT}/runs":
                        self.answer(200, server.create_run(json.loads(content)))
                    elif parts.path == f"{ROOT}/pipelines/upload":
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
