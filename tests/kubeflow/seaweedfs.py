"""A real object store for the stand-in of the backend: SeaweedFS, asked through its S3 API."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import requests

SECONDS_TO_START = 60


@dataclass(frozen=True)
class S3Store:
    """Objects by bucket and key, the scheme left out; the interface is `object_store.ObjectStore`'s.

    Attributes
    ----------
    endpoint
        The server's S3 API, which asks for no credentials.
    view
        Where `path` keeps its copies.
    """

    endpoint: str
    view: Path

    def path(self, uri: str) -> Path:
        """Return a fresh copy of what lies at a URI."""
        copy = self.view / _key(uri)
        if copy.is_dir():
            shutil.rmtree(copy)
        self.download(uri, copy)
        return copy

    def put(self, local: Path, uri: str) -> None:
        """Upload a file, or all files of a folder."""
        if not local.is_dir():
            self._ask("PUT", _key(uri), data=local.read_bytes())
            return
        for file in local.rglob("*"):
            if file.is_file():
                self._ask("PUT", f"{_key(uri)}/{file.relative_to(local).as_posix()}", data=file.read_bytes())

    def download(self, uri: str, local: Path) -> None:
        """Copy what lies at a URI; nothing at all, without complaint, if nothing does."""
        bucket, _, key = _key(uri).partition("/")
        for found in self.keys(bucket, key):
            if found == key or found.startswith(f"{key}/"):
                file = local if found == key else local / found.removeprefix(f"{key}/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self._ask("GET", f"{bucket}/{found}").content)

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Return the keys of all objects that begin with a prefix."""
        found: list[str] = []
        query = {"list-type": "2", "prefix": prefix}
        while True:
            page = ElementTree.fromstring(self._ask("GET", bucket, params=query).content)  # noqa: S314
            found += [key.text or "" for key in page.iterfind("{*}Contents/{*}Key")]
            token = page.findtext("{*}NextContinuationToken")
            if not token:
                return found
            query["continuation-token"] = token

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket."""
        self._ask("PUT", bucket)

    def _ask(self, method: str, path: str, **arguments: Any) -> requests.Response:
        answer = requests.request(method, f"{self.endpoint}/{quote(path)}", timeout=60, **arguments)
        answer.raise_for_status()
        return answer


@contextlib.contextmanager
def running_store(program: Path, folder: Path, bucket: str) -> Iterator[S3Store]:
    """Run a SeaweedFS server with an empty bucket.

    Parameters
    ----------
    program
        The built `weed`.
    folder
        Holds the server's files, its log and copies of objects.
    bucket
        The name of the bucket.
    """
    objects = folder / "objects"
    objects.mkdir()
    ports = {name: str(port) for name, port in zip(("master", "volume", "filer", "s3"), _free_ports(4), strict=True)}
    options = [f"-{name}.port={port}" for name, port in ports.items()]
    local = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", f"-dir={objects}"]
    command = [program, f"-logdir={folder}", "server", "-s3", *local, *options]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        store = S3Store(f"http://127.0.0.1:{ports['s3']}", folder / "view")
        _make_bucket(store, bucket, server, folder / "server.log")
        yield store
    finally:
        # What it stored is of no use any more: a graceful end would take half a minute.
        server.kill()
        server.wait()


def _make_bucket(store: S3Store, bucket: str, server: subprocess.Popen, log: Path) -> None:
    """Make a bucket as soon as the server takes one."""
    end = time.monotonic() + SECONDS_TO_START
    while True:
        with contextlib.suppress(requests.RequestException):
            store.make_bucket(bucket)
            return
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"SeaweedFS doesn't answer: {log.read_text(encoding='utf-8')[-2000:]}")
        time.sleep(0.5)


def _key(uri: str) -> str:
    return uri.partition("://")[2].rstrip("/")


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, as are those 10,000 above, which SeaweedFS takes for gRPC."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in range(20_000, 50_000, 7):
            with contextlib.suppress(OSError):
                for number in (port, port + 10_000):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", number))
                found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError("no free ports")
