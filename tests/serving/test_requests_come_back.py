"""Requests and feedback through the server's application, into the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from synthetic_model import export_untrained_model

from data.request_log.files import RequestLogReader, log_files
from data.request_log.records import Feedback, ServedRequest
from serving.http.app import ServerSettings, make_app
from serving.http.live_models import LiveModels
from serving.http.request_log import LogSettings, RequestLog
from serving.labels import promote
from serving.versions import publish

pytestmark = pytest.mark.slow

NAME = "next-movie-tiny"
HEADER = "X-Request-ID"

Serve = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> LiveModels:
    scratch = tmp_path_factory.mktemp("server")
    publish(export_untrained_model(scratch / "export", 120), scratch / NAME, {}, keep=5)
    promote(scratch / NAME, 1, "stable")
    models = LiveModels(scratch / NAME)
    models.follow()
    return models


@pytest.fixture
def serve(models: LiveModels, tmp_path: Path) -> Serve:
    @contextmanager
    def serve(**settings: object) -> Iterator[TestClient]:
        log = RequestLog(tmp_path / "log", LogSettings(**settings), models.labels)
        with TestClient(make_app(models, ServerSettings(), log=log), base_url="http://127.0.0.1") as client:
            yield client

    return serve


def records(tmp_path: Path) -> list[ServedRequest | Feedback]:
    return list(RequestLogReader(tmp_path / "log").records())


def test_a_request_its_answer_and_what_was_taken_stand_in_the_log(serve: Serve, tmp_path: Path):
    with serve() as client:
        answer = client.post("/api/recommend", json={"history": [8, 2, 10_000], "k": 3, "user": "u7"})
        request_id = answer.headers[HEADER]
        offered = [movie["id"] for movie in answer.json()["movies"]]
        taken = client.post("/api/feedback", json={"request_id": request_id, "taken": offered[1:2]})
    assert (taken.status_code, taken.json()) == (202, {"request_id": request_id})

    request, feedback = records(tmp_path)

    assert isinstance(request, ServedRequest)
    assert request.model_dump(exclude={"time"}) == {
        "kind": "request",
        "request_id": request_id,
        "version": 1,
        "labels": ("stable",),
        "user": "u7",
        "history": (8, 2, 10_000),
        "answer": tuple(offered),
    }
    assert feedback == Feedback(request_id=request_id, time=feedback.time, taken=(offered[1],))
    assert feedback.time >= request.time > 1.7e9


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"context_movie_id": [8, 2]}, {"context_movie_id": [5, 0]}]},
        {"instances": [[8, 2], [0, 5]]},
        {"inputs": {"context_movie_id": [[8, 2], [5, 0]]}},
        {"inputs": [[8, 2], [5, 0]], "signature_name": "include_seen"},
    ],
    ids=["named rows", "bare rows", "a named input", "a bare input"],
)
def test_each_row_of_a_predict_request_is_a_request(serve: Serve, models: LiveModels, tmp_path: Path, body):
    with serve() as client:
        answer = client.post(f"/v1/models/{NAME}:predict", json=body)
    seen = body.get("signature_name") == "include_seen"
    ids, _ = models.current.recommender.recommend_ids([[8, 2], [5]], 100, include_seen=seen)

    logged = records(tmp_path)

    assert [record.request_id for record in logged] == [f"{answer.headers[HEADER]}/{row}" for row in (0, 1)]
    assert [record.history for record in logged] == [(8, 2), (5,)]
    assert [record.answer for record in logged] == [tuple(one for one in row if one) for row in ids.tolist()]


def test_what_asks_with_no_history_is_answered_and_not_logged(serve: Serve, tmp_path: Path):
    with serve() as client:
        for path, body in (
            (f"/v1/models/{NAME}:predict", {"signature_name": "similar", "instances": [8]}),
            ("/api/recommend", {"history": "none"}),
        ):
            client.post(path, json=body)
        assert client.get("/api/similar", params={"id": 8}).status_code == 200
    assert log_files(tmp_path / "log") == []


def test_the_figures_say_what_became_of_records(serve: Serve):
    with serve(queue_bytes=1) as client:
        assert client.post("/api/recommend", json={"history": [8]}).status_code == 200
        refused = client.post("/api/feedback", json={"request_id": "0" * 32, "taken": [8]})
        told = client.get("/metrics").text
    assert refused.status_code == 503
    assert refused.json() == {"error": "the request log has no room now: try again later"}
    figures = {family.name: family for family in text_string_to_metric_families(told)}
    counts = {sample.labels["result"]: sample.value for sample in figures["next_movie_request_log"].samples}
    assert counts == {"written": 0, "dropped": 2, "failed": 0}
    assert 'endpoint="api/feedback",status="503"' in told


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"taken": [1]}, "body.request_id: Field required"),
        ({"request_id": "x", "taken": [1]}, "body.request_id: String should match"),
        ({"request_id": "0" * 32, "taken": []}, "body.taken: List should have at least 1 item"),
        ({"request_id": "0" * 32, "taken": ["a"]}, "'a' in what was taken is no id of this data set's"),
        ({"request_id": "0" * 32, "taken": [1], "stars": 5}, "body.stars: Extra inputs are not permitted"),
    ],
    ids=["no id", "a wrong id", "nothing taken", "another kind of id", "an unknown key"],
)
def test_wrong_feedback_is_refused_in_one_line_and_not_logged(serve: Serve, tmp_path: Path, given, reason: str):
    with serve() as client:
        response = client.post("/api/feedback", json=given)
    assert response.status_code == 400
    assert response.json()["error"].startswith(reason)
    assert log_files(tmp_path / "log") == []


def test_without_the_option_nothing_is_logged_nor_offered(models: LiveModels):
    with TestClient(make_app(models, ServerSettings()), base_url="http://127.0.0.1") as client:
        answer = client.post("/api/recommend", json={"history": [8]})
        assert HEADER not in answer.headers
        assert client.post("/api/feedback", json={"request_id": "0" * 32, "taken": [8]}).status_code in (404, 405)
        assert "/api/feedback" not in client.get("/openapi.json").json()["paths"]
        assert "next_movie_request_log" not in client.get("/metrics").text


def test_a_request_that_is_not_drawn_has_no_id(models: LiveModels, tmp_path: Path):
    log = RequestLog(tmp_path / "log", LogSettings(sample=0.5), draw=lambda: 0.5)
    with TestClient(make_app(models, ServerSettings(), log=log), base_url="http://127.0.0.1") as client:
        answer = client.post("/api/recommend", json={"history": [8]})
    assert HEADER not in answer.headers
    assert log_files(tmp_path / "log") == []
