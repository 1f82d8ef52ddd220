"""What docs/serving.md shows of `serve.py` happens so on the sample's model, by TensorFlow Serving's rules."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parent))
from rest_rules import answer
from server_process import RunningServer, running

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(sample_run: Any) -> Iterator[RunningServer]:
    with running("--model", str(sample_run.model)) as server:
        yield server


def documented(path: str) -> Any:
    """Return the body of the page's request for a path."""
    [body] = [body for body, url in re.findall(r"curl -d '(.+?)'.*?http://\S+?(/\S+)", PAGE, re.DOTALL) if url == path]
    return json.loads(body)


def test_the_api_answers_the_documented_question(server: RunningServer) -> None:
    status, answered = server.post("/api/recommend", documented("/api/recommend"))
    assert status == 200
    assert len(answered["movies"]) == 3
    assert answered["unknown"] == []
    assert all("Drama" in movie["genres"] and movie["year"] >= 1980 for movie in answered["movies"])


def test_the_signature_filtered_is_answered_as_the_rules_have_it(server: RunningServer, sample_run: Any) -> None:
    path = "/v1/models/next-movie-default-sample:predict"
    assert server.name == "next-movie-default-sample"
    body = documented(path)
    status, answered = server.post(path, body)
    assert status == 200
    [row] = answered["predictions"]
    [expected] = answer(tf.saved_model.load(str(sample_run.model)), body)["predictions"]
    assert row["movie_id"] == expected["movie_id"]
    np.testing.assert_array_equal(np.float32(row["score"]), np.float32(expected["score"]))
    assert 104 not in row["movie_id"]


def test_the_documented_addresses_answer(server: RunningServer) -> None:
    for path in ("/", "/docs", "/healthz", "/metrics", f"/v1/models/{server.name}"):
        assert path in PAGE
        assert server.get(path)[0] == 200
