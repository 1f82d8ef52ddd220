"""What stands before a cluster's API, or in its place, ends in one true line; nothing is started without an id."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis.strategies as st
import kfp
import pytest
import yaml
from api_server import ROOT as API_ROOT
from api_server import RUN_ID, ApiServer
from front_server import Front, Reply, api_answer, front, login_answer, own_authority
from google.protobuf import json_format
from hypothesis import example, given
from kfp.pipeline_spec import pipeline_spec_pb2
from minimal_spec import minimal_documents

import kubeflow_runner
from data.errors import InputError
from pipeline.kubeflow.client import RunRequest, submit, upload, wait_for_run
from pipeline.kubeflow.connection import Connection


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "small.yaml"
    path.write_text(yaml.safe_dump_all(minimal_documents()), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "KF_PIPELINES_SA_TOKEN_PATH", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that is refused, and return its one line."""
    assert kubeflow_runner.main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


IN_PLACE_OF_THE_API = {
    "a login": (login_answer, "answers with the page /dex/auth in place of the API: a login stands before it"),
    "a page": (lambda _: (200, {}, b"<html>Dashboard</html>"), "with something else in place of the API (<html>Dashb"),
    "no reply": (lambda _: (200, {}, b""), "with something else in place of the API ()"),
    "an empty object": (lambda _: (200, {}, b"{}"), "answers without the id of a"),
    "a number": (lambda _: (200, {}, b"17"), "answers with JSON that is no object (17)"),
    "401": (lambda _: (401, {}, b'{"error":"Unauthorized"}'), "refuses the request (401: Unauthorized); give cred"),
    "403": (lambda _: (403, {}, b"RBAC: access denied"), "refuses the request (403: RBAC: access denied); give cred"),
    "404": (lambda _: (404, {}, b"what?"), "is no API server of Kubeflow Pipelines: it has no /apis/v2beta1/healthz"),
    "500": (lambda _: (500, {}, b"\xff\xfe"), "refused the request (500): "),
    "a circle": (lambda r: (302, {"Location": r.path}, b""), "too many redirects"),
}


@pytest.mark.parametrize("command", ["submit", "upload"])
@pytest.mark.parametrize(("answer", "message"), IN_PLACE_OF_THE_API.values(), ids=IN_PLACE_OF_THE_API)
def test_what_answers_in_place_of_the_api_is_named_and_nothing_is_started(
    file: Path, capsys: pytest.CaptureFixture, command: str, answer: Callable, message: str
):
    with front(answer) as server:
        line = refused(capsys, command, file, "--host", server.url)
    assert server.url in line
    assert message in line
    assert "secret" not in line


def test_a_redirect_to_the_same_api_elsewhere_names_the_host_to_give(file: Path, capsys: pytest.CaptureFixture):
    with front(api_answer) as real, front(lambda r: (301, {"Location": real.url + r.path}, b"")) as old:
        line = refused(capsys, "submit", file, "--host", old.url)
    assert line.startswith(f"error: {old.url} redirects to {real.url}: give that as --host")


def test_credentials_do_not_follow_a_redirect_to_another_server(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    (tmp_path / "given").write_text("a=b", encoding="ascii")
    options = [f"--token-file={tmp_path / 'given'}", f"--cookies-file={tmp_path / 'given'}"]
    with front(api_answer) as other, front(lambda _: (302, {"Location": f"{other.url}/login"}, b"")) as server:
        refused(capsys, "submit", file, "--host", server.url, *options)
    (asked,), (followed,) = server.requests, other.requests
    assert (asked.headers["Authorization"], asked.headers["Cookie"]) == ("Bearer a=b", "a=b")
    assert followed.headers["Authorization"] is followed.headers["Cookie"] is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["run_id", "experiment_id", "pipeline_id", "experiments", "display_name", "state", "error", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def answering() -> Iterator[tuple[Front, list[Any]]]:
    """Serve the bytes in a list of one; the first sign of life is always good, so that the rest is reached."""
    bodies: list[Any] = [b""]

    def answer(request: BaseHTTPRequestHandler) -> Reply:
        healthy = request.path.endswith("/healthz")
        return 200, {"Content-Type": "application/json"}, b'{"multi_user": false}' if healthy else bodies[0]

    with front(answer) as server:
        yield server, bodies


@given(body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30))
@example(b"[" * 100_000)
@example(b'{"experiments": [{"display_name": "Default"}]}')
@example(b'{"experiment_id": "e", "run_id": null}')
@example(b'{"experiment_id": "e", "run_id": "r", "pipeline_id": "p"}')
@example(b'{"pipelines": [{"display_name": "small-pipeline"}], "pipeline_id": "p"}')
def test_any_reply_is_an_id_or_one_line(answering: tuple[Front, list[Any]], file: Path, body: bytes):
    server, bodies = answering
    bodies[0] = body
    connection = Connection(server.url)
    asked = {
        "run_id": lambda: submit(RunRequest(file), connection),
        "pipeline_id": lambda: upload(file, connection).pipeline_id,
    }
    for field_name, ask in asked.items():
        answer = result_or_line(ask)
        if answer is not None:
            assert json.loads(body)[field_name] == answer


def result_or_line(ask: Callable[[], str]) -> str | None:
    """Return what a call returns, and None where it is refused in one line."""
    try:
        return ask()
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        return None


@given(body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30))
@example(b'{"run_id": "r1", "state": "SUCCEEDED"}')
@example(b'{"run_id": "r1", "state": "FAILED", "error": ["?"]}')
@example(b'{"run_id": "r1", "state": ["?"]}')
def test_any_reply_is_a_state_of_the_run_or_one_line(answering: tuple[Front, list[Any]], body: bytes):
    server, bodies = answering
    bodies[0] = body
    try:
        wait_for_run("r1", Connection(server.url), poll_seconds=0)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert json.loads(body) == {**json.loads(body), "run_id": "r1", "state": "SUCCEEDED"}


def test_what_is_sent_equals_what_kfps_own_client_sends(file: Path):
    with ApiServer() as server:
        submit(RunRequest(file, name="one", parameters={"epochs": 2}), Connection(server.url))
        kfp.Client(host=server.url).create_run_from_pipeline_package(
            str(file), arguments={"epochs": 2}, run_name="one", pipeline_root="minio://bucket/root"
        )
    ours, theirs = server.runs
    for body in (ours, theirs):
        # JSON says many things in several ways; the backend reads messages.
        spec, platform = body["pipeline_spec"].values()
        body["pipeline_spec"] = [
            json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec()),
            json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec()),
        ]
    assert ours == theirs


def test_waiting_ends_with_a_cancelled_run(file: Path):
    with ApiServer(lambda _: ("CANCELED", None)) as server:
        submit(RunRequest(file), Connection(server.url))
        with pytest.raises(InputError, match=f"^the run {RUN_ID} ended as CANCELED$"):
            wait_for_run(RUN_ID, Connection(server.url), poll_seconds=0.01)


def test_waiting_goes_on_while_the_run_does():
    states = iter(["PENDING", "RUNNING", "PAUSED", "SUCCEEDED"])

    def answer(_: BaseHTTPRequestHandler) -> Reply:
        return 200, {}, json.dumps({"run_id": "r1", "state": next(states)}).encode()

    with front(answer) as server:
        wait_for_run("r1", Connection(server.url), poll_seconds=0.01)
    assert len(server.requests) == 4


def test_an_answer_or_two_that_fail_do_not_end_the_waiting():
    replies = iter([(500, "{}"), (200, "<html>"), (200, '{"run_id": "r1", "state": "RUNNING"}')] * 2)

    def answer(_: BaseHTTPRequestHandler) -> Reply:
        status, body = next(replies, (200, '{"run_id": "r1", "state": "SUCCEEDED"}'))
        return status, {}, body.encode()

    with front(answer) as server:
        wait_for_run("r1", Connection(server.url), poll_seconds=0.01)
    assert len(server.requests) == 7
    with front(lambda _: (500, {}, b"{}")) as server:
        with pytest.raises(InputError, match=r"^the run r1 goes on, and can't be watched: .*refused the request"):
            wait_for_run("r1", Connection(server.url), poll_seconds=0.01)
        assert len(server.requests) == 3


def test_a_proxy_that_is_dead_is_named_by_the_message(
    file: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with front(api_answer) as server:
        line = refused(capsys, "submit", file, "--host", server.url)
        assert f"{server.url} (through the proxy http://127.0.0.1:9) can't be reached: Connection refused" in line
        assert "secret" not in line
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        assert kubeflow_runner.main(["submit", str(file), "--host", server.url]) == 0


@pytest.mark.parametrize("by", ["option", "environment"])
def test_an_api_that_only_the_proxy_reaches_is_reached(file: Path, monkeypatch: pytest.MonkeyPatch, by: str):
    with front(api_answer) as proxy:
        url = proxy.url.replace("//", "//me:secret@")
        if by == "environment":
            monkeypatch.setenv("http_proxy", url)
        options = ["--proxy", url] if by == "option" else []
        assert kubeflow_runner.main(["submit", str(file), "--host", "http://kfp.corp.example", *options]) == 0
    assert {urlsplit(request.path).netloc for request in proxy.requests} == {"kfp.corp.example"}
    password = base64.b64encode(b"me:secret").decode()
    assert {request.headers["Proxy-Authorization"] for request in proxy.requests} == {f"Basic {password}"}


@pytest.mark.parametrize("by", ["option", "environment"])
def test_token_and_cookies_go_with_every_request(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str):
    (tmp_path / "token").write_text("a-token\n", encoding="ascii")
    (tmp_path / "cookies").write_text("session=abc; other=d\n", encoding="ascii")
    options = [f"--token-file={tmp_path / 'token'}", f"--cookies-file={tmp_path / 'cookies'}"]
    if by == "environment":
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("KF_PIPELINES_COOKIES_FILE", str(tmp_path / "cookies"))
        options = []
    with front(api_answer) as server:
        for command in ("submit", "upload"):
            assert kubeflow_runner.main([command, str(file), "--host", server.url, *options]) == 0
    assert len(server.requests) == 6
    for request in server.requests:
        assert request.headers["Authorization"] == "Bearer a-token"
        assert request.headers["Cookie"] == "session=abc; other=d"


def test_a_token_that_changes_is_read_anew(file: Path, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("first", encoding="ascii")
    states = iter(["RUNNING", "SUCCEEDED"])

    def answer(_: BaseHTTPRequestHandler) -> Reply:
        token.write_text("second", encoding="ascii")
        return 200, {}, json.dumps({"run_id": "r1", "state": next(states)}).encode()

    with front(answer) as server:
        wait_for_run("r1", Connection(server.url, token_file=token), poll_seconds=0.01)
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return own_authority(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("by", ["--ca-cert", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_cluster_with_an_authority_of_its_own_is_reached(
    file: Path, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, by: str
):
    authority, context = certificate
    options = [f"--ca-cert={authority}"] if by == "--ca-cert" else []
    if not options:
        monkeypatch.setenv(by, str(authority))
    with front(api_answer, context) as server:
        assert kubeflow_runner.main(["submit", str(file), "--host", server.url, *options]) == 0


def test_a_certificate_that_is_not_trusted_and_a_host_without_tls_are_told_apart(
    file: Path, certificate: tuple[Path, ssl.SSLContext], capsys: pytest.CaptureFixture
):
    with front(api_answer, certificate[1]) as server:
        line = refused(capsys, "submit", file, "--host", server.url)
    assert "can't be trusted (" in line
    assert "certificate verify failed" in line
    assert "--ca-cert" in line
    with front(api_answer) as server:
        line = refused(capsys, "submit", file, "--host", server.url.replace("http://", "https://"))
    assert "does not speak TLS: write http:// in place of https://" in line


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("--ca-cert", None, "can't be used: No such file"),
        ("--ca-cert", b"", "can't be used: "),
        ("--ca-cert", b"no certificate", "can't be used: holds no certificate"),
        ("--token-file", None, "can't be read: No such file"),
        ("--token-file", b" \n", "must be one line of text"),
        ("--token-file", b"secret\nsecret", "must be one line of text"),
        ("--cookies-file", "secr\u00e9t".encode(), "holds signs beyond ASCII"),
        ("--proxy", b"socks5://127.0.0.1:1", "is not an http:// or https:// URL"),
        ("--proxy", b"http://", "is not an http:// or https:// URL"),
        ("--proxy", b"127.0.0.1:1", "(through the proxy http://127.0.0.1:1) can't be reached"),
        ("--host", b"localhost:8888", "is not a URL"),
        ("--host", b"http://", "is not a URL"),
        ("--host", b"http://[::1", "is not a URL"),
        ("--host", b"http://h:99999", "is not a URL"),
    ],
)
def test_a_part_of_the_connection_that_cannot_be_used_is_one_line_before_anything_is_sent(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture, option: str, content: bytes | None, message: str
):
    given = tmp_path / "given"
    if content is not None:
        given.write_bytes(content)
    value = content.decode() if option in ("--proxy", "--host") else given
    with front(api_answer) as server:
        line = refused(capsys, "submit", file, "--host", server.url, option, value)
    assert message in line
    assert "secr" not in line
    assert server.requests == []


def test_the_host_may_come_from_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch):
    with front(api_answer) as server:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.url)
        assert kubeflow_runner.main(["upload", str(file)]) == 0
    assert server.requests[0].path == f"{API_ROOT}/healthz"
