"""What stands before every request: its limits, its figures for `/metrics`, and headers for browsers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BODY_SECONDS = 30.0
"""Until a request's body must have come."""

_READ_ON = 16
"""Longest bodies that are read, and thrown away, before they are refused."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Figures:
    """The figures of a server, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "next_movie_requests", "Requests by what they asked for.", ["endpoint", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "next_movie_request_seconds",
            "From a request's first byte to its answer's last.",
            ["endpoint"],
            buckets=_BUCKETS,
            registry=self.registry,
        )


@dataclass(frozen=True)
class Guard:
    """An ASGI application with limits and figures around it.

    Attributes
    ----------
    app
        The application.
    max_body
        Bytes of the longest body.
    figures
        Where requests are counted.
    endpoint_of
        Returns what a path is counted as: a few names for all paths.
    """

    app: ASGIApp
    max_body: int
    figures: Figures
    endpoint_of: Callable[[str], str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            body = await _read(receive, self.max_body)
            if isinstance(body, _Refusal):
                await _refuse(send_on, body)
                return
            await self.app(scope, _given(body, receive), send_on)
        finally:
            endpoint = self.endpoint_of(scope["path"])
            self.figures.requests.labels(endpoint, str(status)).inc()
            self.figures.seconds.labels(endpoint).observe(time.perf_counter() - started)


@dataclass(frozen=True)
class _Refusal:
    status: int
    reason: str


async def _read(receive: Receive, max_body: int) -> bytes | _Refusal:
    """Return a request's body, or why it is not read to its end."""
    parts: list[bytes] = []
    length = 0
    deadline = time.monotonic() + _BODY_SECONDS
    while True:
        try:
            message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0.0))
        except asyncio.TimeoutError:
            return _Refusal(408, f"the body did not come within {_BODY_SECONDS:.0f} s")
        if message["type"] == "http.disconnect":
            return _Refusal(400, "the caller went away")
        part = message.get("body", b"")
        length += len(part)
        is_last = not message.get("more_body", False)
        if length > max_body:
            # Read on, for a while: a caller that is still sending would see a broken connection in place of the reason.
            parts.clear()
            if is_last or length > _READ_ON * max_body:
                return _Refusal(413, f"the body is longer than {max_body:,} bytes")
            continue
        parts.append(part)
        if is_last:
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    """Return what hands a body on that was read, and then waits for the caller to go away."""
    given = False

    async def receive_once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_once


async def _refuse(send: Send, refusal: _Refusal) -> None:
    content = orjson.dumps({"error": refusal.reason})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
