"""Fetch an archive once, and use it only after its size and digest were checked."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from data.environment import temporary_folder
from data.errors import InputError

MAX_DOWNLOAD_BYTES = 2 << 30
_ADVICE = "try again, or fetch it yourself and pass it with --source"
_CHUNK = 1 << 16
_ZIP_MAGIC = b"PK\x03\x04"
_USER_AGENT = "next-movie-retrieval"


@dataclass(frozen=True)
class RemoteArchive:
    """A zip archive on a server, and what is known of its content."""

    url: str
    size: int | None = None
    """In bytes."""
    digest: tuple[str, str] | None = None
    """The algorithm, as `hashlib` names it, and the digest in hexadecimal; None if the content changes."""


def default_cache_dir() -> Path:
    """Return the folder of downloads: below `XDG_CACHE_HOME`, or `.cache` in the home folder, or temporary files."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        caches = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:
        # A user without HOME and without an entry in passwd.
        caches = Path(temporary_folder())
    return caches / "next-movie-retrieval"


def is_reachable(archive: RemoteArchive, timeout: float) -> bool:
    """Return whether the server has the archive, without fetching it.

    Parameters
    ----------
    archive
        The archive.
    timeout
        Seconds after which the answer is False, looking up the host's name and connecting included.
    """
    answers: list[bool] = []

    def ask() -> None:
        request = _request(archive.url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
                is_page = response.headers.get_content_type() == "text/html"
                answers.append(response.status == 200 and not is_page)
        except (OSError, http.client.HTTPException):
            answers.append(False)

    # A thread, because looking up a host's name has no time-out of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answers and answers[0])


def fetch(archive: RemoteArchive, destination: Path, progress: Callable[[str], None], *, timeout: float = 20.0) -> None:
    """Download an archive; the destination appears only when it is whole and verified.

    Parameters
    ----------
    archive
        What is fetched.
    destination
        The file that it becomes. Its folder is created.
    progress
        Called with a line of text now and then.
    timeout
        Seconds to wait for a connection, and for each next piece of the content.

    Raises
    ------
    InputError
        The server can't be reached or refuses, the content is not the archive, is cut short, too long or
        differs from what is known of it, or the disk is full.
    """
    partial = destination.with_name(f"{destination.name}.{uuid.uuid4().hex}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            received = _receive(archive, file, progress, timeout)
        _check(archive, partial, received)
        partial.replace(destination)
    except urllib.error.HTTPError as error:
        raise InputError(f"{archive.url} answered {error.code} {error.reason}; {_ADVICE}", code="D08") from error
    except http.client.IncompleteRead as error:
        raise InputError(f"the download of {archive.url} stopped early; {_ADVICE}", code="D08") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise InputError(
            f"{archive.url} could not be downloaded to {destination}: {reason}; {_ADVICE}", code="D08"
        ) from error
    except InputError as error:
        raise InputError(f"{error}; {_ADVICE}", code=error.code) from error
    finally:
        with contextlib.suppress(OSError):  # not there, or its folder is not one
            partial.unlink()


def matches(archive: RemoteArchive, path: Path) -> bool:
    """Return whether a file is the archive, as far as its size and digest are known."""
    try:
        _check(archive, path, path.stat().st_size)
    except (InputError, OSError):
        return False
    return True


def _request(url: str, method: str) -> urllib.request.Request:
    return urllib.request.Request(url, method=method, headers={"User-Agent": _USER_AGENT})  # noqa: S310


def _receive(archive: RemoteArchive, file: IO[bytes], progress: Callable[[str], None], timeout: float) -> int:
    limit = archive.size or MAX_DOWNLOAD_BYTES
    received = 0
    reported = 0
    with urllib.request.urlopen(_request(archive.url, "GET"), timeout=timeout) as response:  # noqa: S310
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if announced.isascii() and announced.isdigit() else archive.size
        progress(f"downloading {archive.url} ({_mebibytes(total) if total else 'of unknown size'})")
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            received += len(chunk)
            if received > limit:
                raise InputError(f"{archive.url} delivers more than the expected {limit:,} bytes", code="D09")
            if total and received - reported > max(total // 4, 1 << 20):
                reported = received
                progress(f"  {_mebibytes(received)} of {_mebibytes(total)}")
    if announced and total is not None and received < total:
        # http.client ends quietly where a connection closes early.
        raise InputError(f"the download of {archive.url} stopped after {received:,} of {total:,} bytes", code="D08")
    return received


def _check(archive: RemoteArchive, path: Path, size: int) -> None:
    with path.open("rb") as file:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            raise InputError(f"{archive.url} delivered something other than a zip archive", code="D09")
    if archive.size is not None and size != archive.size:
        raise InputError(f"{archive.url} delivered {size:,} bytes instead of {archive.size:,}", code="D09")
    if archive.digest is None:
        return
    algorithm, expected = archive.digest
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise InputError(f"{archive.url} delivered content whose {algorithm} digest is not the known one", code="D09")


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
