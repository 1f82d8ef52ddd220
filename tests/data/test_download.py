"""Downloads from a server on this machine that does what real ones do."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data.errors import InputError
from data.releases import release as releases
from data.releases.download import RemoteArchive, default_cache_dir, fetch, is_reachable, matches

Answer = Callable[[BaseHTTPRequestHandler], None]


def _zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::2::3::978300760\n" * 5000)
        archive.writestr("ml-1m/movies.dat", "2::A (1999)::Drama\n")
    return buffer.getvalue()


CONTENT = _zip_bytes()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answer: Answer
    requests: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ml-1m.zip"

    def archive(self, **known: object) -> RemoteArchive:
        return RemoteArchive(self.url, **known)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests.append(self.command)
        self.server.answer(self)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answer, server.requests = _deliver(CONTENT), []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def _deliver(content: bytes, *, announced: int | None = None, kind: str = "application/zip") -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content) if announced is None else announced))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(content)

    return answer


def _status(code: int) -> Answer:
    return lambda handler: handler.send_error(code)


def _hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def _stall(handler: BaseHTTPRequestHandler) -> None:
    _deliver(CONTENT[:100], announced=len(CONTENT))(handler)
    handler.wfile.flush()
    time.sleep(3)


def _known() -> dict[str, object]:
    return {"size": len(CONTENT), "digest": ("sha256", hashlib.sha256(CONTENT).hexdigest())}


def test_a_good_download_arrives_whole_with_progress(server: _Server, tmp_path: Path):
    lines: list[str] = []
    destination = tmp_path / "cache" / "ml-1m.zip"
    fetch(server.archive(**_known()), destination, lines.append)
    assert destination.read_bytes() == CONTENT
    assert lines[0] == f"downloading {server.url} (0.1 MiB)"
    assert list(destination.parent.iterdir()) == [destination]


def test_md5_digests_are_checked_too(server: _Server, tmp_path: Path):
    good = server.archive(digest=("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()))
    fetch(good, tmp_path / "a.zip", print)
    with pytest.raises(InputError, match="md5 digest is not the known one"):
        fetch(server.archive(digest=("md5", "0" * 32)), tmp_path / "b.zip", print)


@pytest.mark.parametrize(
    ("answer", "known", "reason"),
    [
        (_deliver(CONTENT[:5000], announced=len(CONTENT)), {}, "stopped"),
        (_deliver(CONTENT[:5000]), _known(), "5,000 bytes instead of"),
        (_deliver(CONTENT + b"more"), _known(), "more than the expected"),
        (_deliver(CONTENT, announced=10), _known(), "bytes instead of"),
        (_deliver(CONTENT.replace(b"A (1999)", b"B (1999)")), _known(), "sha256 digest is not the known one"),
        (_deliver(b"<html>please log in</html>", kind="text/html"), {}, "other than a zip archive"),
        (_deliver(b""), {}, "other than a zip archive"),
        (_status(404), {}, "answered 404"),
        (_status(503), {}, "answered 503"),
        (_hang, {}, "timed out"),
        (_stall, {}, "timed out"),
    ],
)
def test_a_bad_download_is_refused_and_leaves_nothing(
    server: _Server, tmp_path: Path, answer: Answer, known: dict[str, object], reason: str
):
    server.answer = answer
    with pytest.raises(InputError, match=reason) as caught:
        fetch(server.archive(**known), tmp_path / "cache" / "ml-1m.zip", print, timeout=0.5)
    assert "--source" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unreachable_server_is_refused(tmp_path: Path):
    archive = RemoteArchive("http://127.0.0.1:9/ml-1m.zip")
    with pytest.raises(InputError, match="could not be downloaded"):
        fetch(archive, tmp_path / "ml-1m.zip", print, timeout=1)
    assert not is_reachable(archive, timeout=1)


def test_a_cache_that_can_not_be_written_is_named(server: _Server, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="could not be downloaded to"):
        fetch(server.archive(), tmp_path / "file" / "ml-1m.zip", print)


def test_the_probe_asks_without_fetching(server: _Server):
    assert is_reachable(server.archive(), timeout=2)
    assert server.requests == ["HEAD"]
    server.answer = _status(404)
    assert not is_reachable(server.archive(), timeout=2)
    server.answer = _deliver(b"<html></html>", kind="text/html")
    assert not is_reachable(server.archive(), timeout=2)


def test_the_probe_ends_at_its_time(server: _Server):
    server.answer = _hang
    started = time.monotonic()
    assert not is_reachable(server.archive(), timeout=0.3)
    assert time.monotonic() - started < 1.5


@pytest.fixture
def served_release(server: _Server, monkeypatch: pytest.MonkeyPatch) -> releases.Release:
    release = dataclasses.replace(releases.find_release("ml-1m"), archive=server.archive(**_known()))
    monkeypatch.setitem(releases._RELEASES, "ml-1m", release)
    return release


def test_a_release_is_downloaded_once(server: _Server, served_release: releases.Release, tmp_path: Path):
    for _ in range(2):
        source = releases.obtain(served_release, None, tmp_path, print)
        assert source.size("movies.dat") == 19
    assert server.requests == ["GET"]
    server.answer = _status(404)
    assert releases.available("ml-1m", tmp_path)


def test_a_damaged_cache_is_fetched_again(server: _Server, served_release: releases.Release, tmp_path: Path):
    (tmp_path / "ml-1m.zip").write_bytes(CONTENT[:-1])
    releases.obtain(served_release, None, tmp_path, print)
    assert matches(served_release.archive, tmp_path / "ml-1m.zip")


def test_a_users_own_archive_is_taken_with_a_note(served_release: releases.Release, tmp_path: Path):
    (tmp_path / "mine.zip").write_bytes(CONTENT)
    lines: list[str] = []
    releases.obtain(served_release, tmp_path / "mine.zip", None, lines.append)
    assert lines == []
    with zipfile.ZipFile(tmp_path / "mine.zip", "a") as archive:
        archive.writestr("ml-1m/notes.txt", "mine")
    releases.obtain(served_release, tmp_path / "mine.zip", None, lines.append)
    assert "is not the published ml-1m" in lines[0]


def test_availability_follows_the_server(server: _Server, served_release: releases.Release, tmp_path: Path):
    assert releases.available("ml-1m", tmp_path, timeout=2)
    server.answer = _status(503)
    assert not releases.available("ml-1m", tmp_path, timeout=2)
    assert releases.available("sample", tmp_path)


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "next-movie-retrieval"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "next-movie-retrieval"


def test_an_unknown_release_is_named():
    with pytest.raises(InputError, match="there is no release 'ml-2m'; known are ml-1m"):
        releases.find_release("ml-2m")
