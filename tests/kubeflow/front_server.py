"""A server on the loopback interface that answers as a test tells it: what may stand before a cluster's API."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Front:
    """A server that answers everything as it is told, and keeps what it was asked."""

    url: str
    requests: list[BaseHTTPRequestHandler] = field(default_factory=list)


@contextmanager
def front(answer: Callable[[BaseHTTPRequestHandler], Reply], context: ssl.SSLContext | None = None) -> Iterator[Front]:
    """Serve on the loopback interface; with a context by TLS."""
    served = Front("")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            served.requests.append(self)
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    served.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def api_answer(request: BaseHTTPRequestHandler) -> Reply:
    """Answer as the API does: ids for what is made."""
    path = urlsplit(request.path).path
    content: dict[str, Any] = {"multi_user": False, "tag_name": "2.17.0"}
    if path.endswith("/experiments"):
        content = {"experiments": [{"experiment_id": "e1", "display_name": "Default"}]}
    elif path.endswith("/runs"):
        content = {"run_id": "r1", "state": "PENDING"}
    elif path.endswith("/pipelines/upload"):
        content = {"pipeline_id": "p1"}
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def login_answer(request: BaseHTTPRequestHandler) -> Reply:
    if request.path.startswith("/dex"):
        return 200, {"Content-Type": "text/html"}, b"<html>Log in to Your Account</html>"
    return 302, {"Location": "/dex/auth?state=secret"}, b""


def own_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return the certificate of an authority of one's own, and what serves with it."""
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return folder / "ca.pem", context
