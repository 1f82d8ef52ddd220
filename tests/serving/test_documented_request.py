from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from benchmarks.environments import make_environment
from benchmarks.http_server import NAME, PACKAGES, running_server
from data.errors import InputError
from data.features import CONTEXT_MOVIE_ID
from serving.recommender import Recommender

sys.path.insert(0, str(Path(__file__).parent))
from rest_rules import answer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

Post = Callable[[str, dict[str, Any]], dict[str, Any]]


def documented_request() -> tuple[str, dict[str, Any]]:
    """Return path and body of the request in the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    body, path = re.search(r"curl -d '(.+?)' http://localhost:8501(/v1/\S+)", readme).groups()
    return path, json.loads(body)


@pytest.fixture(scope="module")
def kserve_python(pytestconfig: pytest.Config) -> Path | None:
    """Return the Python of an environment with KServe; None where it can't be made."""
    try:
        return make_environment(Path(pytestconfig.cache.mkdir("kserve")), PACKAGES)
    except InputError:
        return None


@pytest.fixture(scope="module")
def post(sample_run: Any, kserve_python: Path | None) -> Iterator[Post]:
    """Post JSON to a server of the published model; without KServe, answer by the rules themselves."""
    if kserve_python is None:
        model = tf.saved_model.load(str(sample_run.model))
        yield lambda path, body: answer(model, body)
        return
    with running_server(kserve_python, sample_run.model) as server:
        yield lambda path, body: send(server.url + path, body)


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


def test_an_answer_without_any_movie_is_legal_json(sample_run: Any, post: Post) -> None:
    known = Recommender.load(sample_run.model).catalogue.ids.tolist()

    [prediction] = post(f"/v1/models/{NAME}:predict", {"instances": [{CONTEXT_MOVIE_ID: known}]})["predictions"]

    assert prediction["movie_id"] == [0] * 100
    assert len(prediction["score"]) == 100
    assert max(prediction["score"]) < -1e38
    json.dumps(prediction, allow_nan=False)


def test_similar_movies_are_asked_by_the_name_of_their_signature(sample_run: Any, post: Post) -> None:
    movie_id = int(Recommender.load(sample_run.model).catalogue.ids[0])

    answered = post(f"/v1/models/{NAME}:predict", {"signature_name": "similar", "instances": [{"movie_id": movie_id}]})

    expected = Recommender.load(sample_run.model).similar(movie_id, k=3)
    assert answered["predictions"][0]["movie_id"][:3] == [movie.movie_id for movie in expected]


def test_kserves_own_types_know_every_field_of_the_inference_service(
    kserve_python: Path | None, tmp_path: Path
) -> None:
    if kserve_python is None:
        pytest.skip("KServe can't be installed here")
    script = Path(__file__).parent / "kserve_types.py"

    def unknown_fields(manifest: Path) -> list[str]:
        finished = subprocess.run([kserve_python, script, manifest], check=True, capture_output=True, encoding="utf-8")
        return json.loads(finished.stdout)

    manifest = ROOT / "deploy" / "kserve.yaml"
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text(manifest.read_text(encoding="utf-8").replace("storageUri", "storageURL"), encoding="utf-8")

    assert unknown_fields(manifest) == []
    assert unknown_fields(misspelt) == [".spec.predictor.model.storageURL"]
