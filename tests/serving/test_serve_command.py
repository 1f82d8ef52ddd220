"""`python serve.py` as a process: what it refuses, and that it goes over to new versions under load."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_model import export_untrained_model

import serve
from serving.labels import promote
from serving.signing import load_private_key
from serving.versions import publish, roll_back

sys.path.insert(0, str(Path(__file__).parent))
from server_process import RunningServer, running
from signed_versions import write_keys

pytestmark = pytest.mark.slow

CLIENTS = 4


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("exports")
    return [export_untrained_model(folder / str(number), 120) for number in range(2)]


@pytest.fixture
def folder(exports: list[Path], tmp_path: Path) -> Path:
    publish(exports[0], tmp_path / "shop", {}, keep=9)
    return tmp_path / "shop"


@pytest.fixture
def server(folder: Path) -> Iterator[RunningServer]:
    with running("--model", str(folder)) as server:
        yield server


def test_no_request_fails_while_versions_are_published_and_rolled_back(
    server: RunningServer, folder: Path, exports: list[Path]
) -> None:
    assert server.name == "shop"
    ended = threading.Event()
    seen: list[list[tuple[int, Any]]] = [[] for _ in range(CLIENTS)]

    def ask(answers: list[tuple[int, Any]]) -> None:
        # Without a pause they would leave the processors no time to load the versions.
        while not ended.wait(0.01):
            status, content = server.predict({"instances": [[3, 5, 8]]})
            answers.append((status, content["predictions"][0]["movie_id"] if status == 200 else content))

    threads = [threading.Thread(target=ask, args=(answers,)) for answers in seen]
    for thread in threads:
        thread.start()
    publish(exports[1], folder, {}, keep=9)
    server.wait_for_version(2)
    roll_back(folder, 1)
    server.wait_for_version(3)
    ended.set()
    for thread in threads:
        thread.join(60)
    answers = [answer for of_client in seen for answer in of_client]
    assert {status for status, _ in answers} == {200}
    assert len(answers) > CLIENTS
    # Two models have answered, each as it does when it is asked alone.
    alone = [server.predict({"instances": [[3, 5, 8]]}, f"/versions/{version}")[1] for version in (1, 2)]
    expected = {json.dumps(content["predictions"][0]["movie_id"]) for content in alone}
    assert len(expected) == 2
    assert {json.dumps(movies) for _, movies in answers} == expected


def test_a_version_that_is_named_stays_and_a_label_chooses(folder: Path, exports: list[Path]) -> None:
    publish(exports[1], folder, {}, keep=9)
    promote(folder, 1, "canary")
    with running("--model", str(folder / "1")) as server:
        assert server.get("/healthz")[1]["version"] == 1
    with running("--model", str(folder), "--label", "canary") as server:
        assert server.get("/healthz")[1]["version"] == 1
        promote(folder, 2, "canary")
        server.wait_for_version(2)


def test_with_a_key_versions_without_its_signature_are_not_served(
    exports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "signed"
    private, public = write_keys(tmp_path / "keys")
    publish(exports[0], folder, {}, keep=9, key=load_private_key(private))
    with running("--model", str(folder), "--public-key", str(public)) as server:
        publish(exports[1], folder, {}, keep=9)
        status, content = server.predict({"instances": [[3]]}, "/versions/2")
        assert status == 400
        assert str(folder / "2") in content["error"]
        assert server.get("/healthz")[1]["version"] == 1
    assert serve.main(["--model", str(folder), "--public-key", str(public)]) == 2
    assert str(folder / "2") in capsys.readouterr().err
    promote(folder, 1, "stable")
    with running("--model", str(folder), "--public-key", str(public)) as server:
        assert server.get("/healthz")[1]["version"] == 1


def test_the_server_ends_at_once_and_quietly_when_it_is_told_to(folder: Path) -> None:
    with running("--model", str(folder), fresh=True) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) in (0, 130)
        assert server.output.read_text().endswith("stop with Ctrl-C\n")
        assert "Traceback" not in server.errors.read_text()


def test_a_port_that_is_taken_is_refused_in_one_line_and_another_one_served(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve.main(["--model", str(folder), "--port", str(port)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: 127.0.0.1 port {port} can't be listened at (Address already in use): stop what")
    assert line.endswith("[H01]")
    with running("--model", str(folder)) as other:
        assert other.get("/healthz")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", "198.51.100.7", "--port", "0"), "198.51.100.7 port 0 can't be listened at"),
        (("--host", "no.such.host.invalid"), "no.such.host.invalid port 8501 can't be listened at"),
        (("--port", "70000"), "70000 is no port: it may be 0 to 65535"),
        (("--max-rows", "0"), "0 is not positive"),
        (("--port", "http"), "invalid _port value: 'http'"),
    ],
)
def test_what_can_not_be_used_is_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    try:
        code: Any = serve.main(["--model", str(folder), *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_without_a_model_is_refused_before_tensorflow_is_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.main(["--model", str(tmp_path)]) == 2
    assert capsys.readouterr().err.rstrip().endswith("[M04]")


def test_the_listening_socket_is_told_its_protocol_so_that_answers_are_not_held_back() -> None:
    with serve._listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
