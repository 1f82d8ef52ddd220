from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from data.features import CONTEXT_MOVIE_ID
from trainer_module.recommender import Recommender

sys.path.insert(0, str(Path(__file__).parent))
from rest_rules import answer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).with_name("kserve_server.py")
PACKAGES = ("kserve==0.15.2", "tensorflow==2.16.2")
NAME = "next-movie"
START_SECONDS = 120

Post = Callable[[str, dict[str, Any]], dict[str, Any]]


def documented_request() -> tuple[str, dict[str, Any]]:
    """Return path and body of the request in the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    body, path = re.search(r"curl -d '(.+?)' http://localhost:8501(/v1/\S+)", readme).groups()
    return path, json.loads(body)


def make_environment(folder: Path) -> Path:
    """Make the server's environment, once, and return its Python."""
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
    if uv is not None:
        commands = [
            [uv, "venv", "-q", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", str(python), *PACKAGES],
        ]
    else:
        venv.create(folder, with_pip=True)
        commands = [[str(python), "-m", "pip", "install", "-q", *PACKAGES]]
    for command in commands:
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    (folder / "complete").touch()
    return python


@pytest.fixture(scope="module")
def post(sample_run: Any, pytestconfig: pytest.Config) -> Iterator[Post]:
    """Post JSON to a server of the published model; without KServe, answer by the rules themselves."""
    try:
        python = make_environment(Path(pytestconfig.cache.mkdir("kserve")))
    except (OSError, subprocess.SubprocessError):
        model = tf.saved_model.load(str(sample_run.model))
        yield lambda path, body: answer(model, body)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    server = subprocess.Popen(
        [str(python), str(SERVER), str(port), NAME, str(sample_run.model)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(base, server)
        yield lambda path, body: send(base + path, body)
    finally:
        server.terminate()
        server.wait(30)


def wait_until_ready(base: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            with urllib.request.urlopen(f"{base}/v1/models/{NAME}", timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError("the server did not start")


def send(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return json.load(response)


def test_the_request_in_the_readme_is_answered_as_the_recommender_answers(sample_run: Any, post: Post) -> None:
    path, body = documented_request()

    predictions = post(path, body)["predictions"]

    expected = Recommender.load(sample_run.model).recommend(body["instances"][0][CONTEXT_MOVIE_ID], k=100)
    assert len(predictions) == len(body["instances"])
    assert predictions[0]["movie_id"] == [movie.movie_id for movie in expected]
    assert predictions[0]["score"] == pytest.approx([movie.score for movie in expected], abs=1e-4)


def test_a_history_over_rest_gets_back_none_of_its_own_movies(sample_run: Any, post: Post) -> None:
    known = Recommender.load(sample_run.model).catalogue.ids[:5].tolist()

    rows = post(f"/v1/models/{NAME}:predict", {"instances": [{CONTEXT_MOVIE_ID: known}, {CONTEXT_MOVIE_ID: known}]})

    assert not set(known) & set(rows["predictions"][0]["movie_id"])
    assert rows["predictions"][0] == rows["predictions"][1]


def test_similar_movies_are_asked_by_the_name_of_their_signature(sample_run: Any, post: Post) -> None:
    movie_id = int(Recommender.load(sample_run.model).catalogue.ids[0])

    answered = post(f"/v1/models/{NAME}:predict", {"signature_name": "similar", "instances": [{"movie_id": movie_id}]})

    expected = Recommender.load(sample_run.model).similar(movie_id, k=3)
    assert answered["predictions"][0]["movie_id"][:3] == [movie.movie_id for movie in expected]
