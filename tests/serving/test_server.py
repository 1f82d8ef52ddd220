"""The server's application: the API with titles, limits, errors, figures and pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from synthetic_model import export_untrained_model

from data.releases.catalogue import Movie
from serving.http.app import ServerSettings, make_app
from serving.http.live_models import LiveModels
from serving.labels import promote
from serving.versions import publish

pytestmark = pytest.mark.slow

MOVIES = 120
MAX_BODY = 4_096
UNKNOWN = 10_000
NAME = "next-movie-tiny"


def movie(movie_id: int) -> Movie:
    """Return a comedy of its own year for an even id, and a drama, without a year, for an odd one."""
    if movie_id % 2:
        return Movie(movie_id, f"Odd number {movie_id}", 0, ("Drama",))
    return Movie(movie_id, f"Even number {movie_id}, The ({1900 + movie_id})", 1900 + movie_id, ("Comedy",))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> LiveModels:
    scratch = tmp_path_factory.mktemp("server")
    folder = scratch / NAME
    for number, recall in ((1, 0.25), (2, None)):
        export = export_untrained_model(scratch / f"export-{number}", MOVIES, make_movie=movie)
        publish(export, folder, {"metrics": {"recall_at_10": recall}}, keep=5)
    promote(folder, 1, "canary")
    models = LiveModels(folder)
    models.follow()
    return models


@pytest.fixture(scope="module")
def client(models: LiveModels) -> Iterator[TestClient]:
    app = make_app(models, ServerSettings(max_body=MAX_BODY, max_rows=4, hosts=("127.0.0.1",)))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def recommend(client: TestClient, **question: Any) -> Any:
    response = client.post("/api/recommend", json=question)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_model_tells_what_can_be_asked_of_it(client: TestClient) -> None:
    told = client.get("/api/model").json()
    published = [version.pop("published_at") for version in told["versions"]]
    assert all(at.startswith("20") for at in published)
    assert told == {
        "name": NAME,
        "version": 2,
        "versions": [
            {"version": 1, "labels": ["canary"], "recall_at_10": 0.25},
            {"version": 2, "labels": [], "recall_at_10": None},
        ],
        "num_movies": MOVIES,
        "genres": ["Comedy", "Drama"],
        "first_year": 1902,
        "last_year": 2020,
        "words": {"one": "movie", "many": "movies", "taken": "watched"},
    }


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("even number 12", [12, 120]),
        ("the even number 12", [12, 120]),
        ("even number 120", [120]),
        ("", []),
        ("qqqqqq", []),
    ],
)
def test_titles_are_found_while_they_are_typed(client: TestClient, query: str, ids: list[int]) -> None:
    found = client.get("/api/movies", params={"query": query}).json()
    assert sorted(movie["id"] for movie in found) == ids


def test_titles_are_found_by_ids_in_their_order(client: TestClient) -> None:
    found = client.get("/api/movies", params={"id": ["9", "4", "none", "9999", "9"]}).json()
    assert [movie["title"] for movie in found] == ["Odd number 9", "Even number 4, The (1904)", "Odd number 9"]


def test_a_slip_of_the_finger_finds_what_is_spelt_alike(client: TestClient) -> None:
    found = client.get("/api/movies", params={"query": "evn number 120", "limit": 5}).json()
    assert 120 in [movie["id"] for movie in found]
    assert len(found) <= 5


def test_an_answer_has_titles_and_says_what_of_the_history_is_unknown(client: TestClient, models: LiveModels) -> None:
    answer = recommend(client, history=[3, UNKNOWN, 5], k=4)
    expected = models.current.recommender.recommend([3, 5], 4)
    assert answer["version"] == 2
    assert answer["unknown"] == [UNKNOWN]
    assert answer["popular"] is False
    assert [(found["rank"], found["id"], found["title"]) for found in answer["movies"]] == [
        (found.rank, found.movie_id, found.title) for found in expected
    ]


def test_without_a_known_movie_the_answer_is_what_is_popular(client: TestClient) -> None:
    nothing, unknown = recommend(client, history=[]), recommend(client, history=[UNKNOWN])
    assert nothing["popular"] is unknown["popular"] is True
    assert nothing["movies"] == unknown["movies"]
    assert len(nothing["movies"]) == 10


def test_filters_hold_for_the_whole_answer(client: TestClient) -> None:
    answer = recommend(client, history=[2], k=100, filters={"genres": ["Comedy"], "first_year": 2000, "deny": [110]})
    assert {found["id"] for found in answer["movies"]} == {*range(100, 121, 2)} - {110}


def test_an_earlier_version_can_be_asked_beside_the_served_one(client: TestClient) -> None:
    one, two = (recommend(client, history=[7, 9], version=version) for version in (1, 2))
    assert (one["version"], two["version"]) == (1, 2)
    assert [found["score"] for found in one["movies"]] != [found["score"] for found in two["movies"]]
    path = f"/v1/models/{NAME}/versions/1"
    predicted = client.post(f"{path}:predict", json={"instances": [[7, 9]]}).json()["predictions"][0]
    assert predicted["movie_id"][:10] == [found["id"] for found in one["movies"]]
    for place in (path, f"/v1/models/{NAME}/labels/canary"):
        assert client.get(place).json()["model_version_status"][0]["version"] == "1"


def test_movies_like_one_are_named(client: TestClient, models: LiveModels) -> None:
    answer = client.get("/api/similar", params={"id": "8", "k": 3}).json()
    assert [found["id"] for found in answer["movies"]] == [
        found.movie_id for found in models.current.recommender.similar(8, 3)
    ]


def test_metadata_are_tensorflow_servings_own_message(client: TestClient) -> None:
    told = client.get(f"/v1/models/{NAME}/metadata").json()
    assert told["model_spec"] == {"name": NAME, "signature_name": "", "version": "2"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "include_seen", "filtered", "similar", "evaluate"} <= signatures.keys()
    assert signatures["serving_default"]["inputs"]["context_movie_id"]["dtype"] == "DT_INT64"


@pytest.mark.parametrize(
    ("question", "status", "reason"),
    [
        ({}, 400, "body.history: Field required"),
        ({"history": "8"}, 400, "body.history: Input should be a valid list"),
        ({"history": [1.5]}, 400, "body.history.0."),
        ({"history": [True]}, 400, "body.history.0."),
        ({"history": ["eight"]}, 400, "'eight' in the history is no id of this data set's"),
        ({"history": [2**70]}, 400, "1180591620717411303424 in the history is no id of this data set's"),
        ({"history": [], "k": 101}, 400, "body.k: Input should be less than or equal to 100"),
        ({"history": [], "count": 3}, 400, "body.count: Extra inputs are not permitted"),
        ({"history": [], "filters": {"genre": "Comedy"}}, 400, "body.filters.genre: Extra inputs"),
        (
            {"history": [], "filters": {"genres": ["Noir"]}},
            400,
            "no movie has the genre 'Noir': there are Comedy, Drama",
        ),
        ({"history": [], "filters": {"allow": []}}, 400, "the list of movies to choose from is empty"),
        ({"history": [], "version": 9}, 404, f"{NAME} has no version 9"),
        ({"history": [0] * 1_001}, 400, "body.history: List should have at most 1000 items"),
    ],
)
def test_a_wrong_question_is_refused_in_one_line(client: TestClient, question: Any, status: int, reason: str) -> None:
    response = client.post("/api/recommend", json=question)
    assert response.status_code == status
    assert response.json()["error"].startswith(reason)
    assert "\n" not in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/api/similar?id=9999", 404, "the model knows no movie 9999"),
        ("/api/similar?id=eight", 404, "the model knows no movie eight"),
        ("/api/similar", 400, "query.id: Field required"),
        ("/api/movies?query=a&limit=0", 400, "query.limit: Input should be greater than or equal to 1"),
        ("/v1/models/other", 404, f"there is no model 'other': this server has {NAME}"),
        (f"/v1/models/{NAME}/versions/9", 404, f"{NAME} has no version 9"),
        (f"/v1/models/{NAME}/labels/stable", 404, ""),
        (f"/v1/models/{NAME}/versions/last", 400, "path.version: Input should be a valid integer"),
        ("/nowhere", 404, "Not Found"),
        ("/static/../app.py", 404, "Not Found"),
        ("/static/%2e%2e/app.py", 404, "Not Found"),
        (f"/v1/models/{NAME}:predict", 404, "there is no model"),
    ],
)
def test_a_wrong_address_is_refused_in_one_line(client: TestClient, path: str, status: int, reason: str) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert response.json()["error"].startswith(reason)


def test_a_body_that_is_too_long_is_refused_however_it_comes(client: TestClient) -> None:
    path = f"/v1/models/{NAME}:predict"
    parts = (b" " * 1_024 for _ in range(9))
    for content in (b" " * (MAX_BODY + 1), parts, b" " * (17 * MAX_BODY)):
        response = client.post(path, content=content)
        assert response.status_code == 413
        assert response.json() == {"error": "the body is longer than 4,096 bytes"}
    assert client.post(path, content=b'{"instances": [[1]]}'.ljust(MAX_BODY)).status_code == 200


def test_a_name_that_is_not_the_servers_is_refused(client: TestClient) -> None:
    assert client.get("/healthz", headers={"Host": "rebound.example"}).status_code == 400
    assert client.get("/healthz").json() == {"status": "ok", "model": NAME, "version": 2}


def test_figures_count_requests_by_a_few_names_and_tell_the_version(client: TestClient) -> None:
    for path in ("/api/model", "/api/model", "/unknown/path", "/static/demo.js"):
        client.get(path)
    families = {
        family.name: {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(client.get("/metrics").text)
    }
    requests = families["next_movie_requests"]
    assert requests[("endpoint", "api/model"), ("status", "200")] >= 2
    assert requests[("endpoint", "page"), ("status", "404")] >= 1
    assert families["next_movie_model_version"] == {(): 2.0}
    assert families["next_movie_model_loads"][(("result", "loaded"),)] >= 1
    assert {"next_movie_request_seconds", "process_resident_memory_bytes"} <= families.keys()


@pytest.mark.parametrize("path", ["/", "/docs", "/static/demo.css", "/swagger/swagger-ui-bundle.js", "/openapi.json"])
def test_pages_allow_nothing_but_the_servers_own(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_every_path_is_in_the_reference(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"] == "3.0.2"
    assert {
        "/api/model",
        "/api/movies",
        "/api/recommend",
        "/api/similar",
        "/healthz",
        "/metrics",
        "/v1/models/{name}",
        "/v1/models/{name}/metadata",
        "/v1/models/{name}:predict",
        "/v1/models/{name}/versions/{version}",
    } <= described["paths"].keys()


def test_what_fails_within_is_told_without_its_inside(
    client: TestClient, models: LiveModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(models.current.recommender, "recommend", fail)
    response = client.post("/api/recommend", json={"history": []})
    assert response.status_code == 500
    assert response.json() == {"error": "the server failed; its log has the reason"}


def test_static_files_are_listed_in_the_package() -> None:
    import tomli

    listed = tomli.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    assert listed["serving.http"] == ["static/*"]
