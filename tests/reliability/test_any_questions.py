"""Any batch files, titles and catalogues: answered, or refused in one line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from data.errors import InputError
from data.releases.catalogue import Catalogue, Movie
from serving.batch_inference import recommend_file
from serving.batch_job import BatchJob
from serving.recommender import Recommender
from serving.titles import SEPARATOR, TitleIndex, normalise

LARGEST_ID = 2**63 - 1


class Fixed(Recommender):
    """Recommends the movies 1 to k to everybody, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(None, Catalogue.of([Movie(1, "A", 0, ())]))
        self.histories: list[list[int]] = []

    def recommend_ids(self, histories, k, *, include_seen, filters):
        self.histories += histories
        # What a model gets is an array of int64.
        for history in histories:
            np.array(history, np.int64)
        return np.tile(np.arange(1, k + 1), (len(histories), 1)), np.zeros((len(histories), k), np.float32)


def strict(text: str) -> object:
    """Read JSON as other readers do, which know no NaN and no Infinity."""

    def refuse(sign: str) -> NoReturn:
        raise ValueError(sign)

    return json.loads(text, parse_constant=refuse)


ids = st.integers(0, 60) | st.integers(-2, LARGEST_ID + 2)
plain = st.none() | st.booleans() | ids | st.floats() | st.text(max_size=8)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
histories = st.lists(ids, max_size=5)
requests = st.fixed_dictionaries({"history": histories | values}, optional={"id": values, "other": values})
blanks = st.sampled_from(["", " ", "\t", "\r", "\x0b", "\u2028", "\ufeff"])
json_lines = (requests | histories | values).map(json.dumps)
raw_lines = st.text(max_size=20) | st.sampled_from(["[1e999]", '{"history": [], "id": 1e999}', "[" * 2000, "[01]"])
lines = st.tuples(blanks, json_lines | raw_lines, blanks).map("".join)
good_lines = st.lists(st.integers(0, 60), max_size=5).map(json.dumps) | st.fixed_dictionaries(
    {"history": st.lists(st.integers(0, 60), max_size=5)}, optional={"id": plain}
).map(json.dumps)
files = st.binary(max_size=60) | (
    st.lists(good_lines, max_size=5) | st.lists(json_lines | lines | blanks, max_size=5)
).map(lambda rows: "\n".join(rows).encode("utf-8", "surrogatepass"))


@given(content=files)
@example(content=b'{"history": [1], "id": NaN}')
@example(content=b'{"history": [1], "id": -1e999}')
@example(content=b"\xef")
@example(content=b"\xef\xbb\xbf")
@example(content=b"\xef\xbb\xbf[1]\n\xef\xbb\xbf[2]")
def test_any_batch_is_answered_line_by_line_in_json_or_refused_and_nothing_written(tmp_path: Path, content: bytes):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    model = Fixed()
    try:
        answered = recommend_file(model, BatchJob(source, target, k=2))
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        assert not target.exists()
        return
    answers = [strict(line) for line in target.read_text(encoding="utf-8").split("\n")[:-1]]
    asked = [strict(line) for line in io.StringIO(content.decode("utf-8-sig"), None) if line.strip()]
    assert len(answers) == len(asked) == answered
    for request, answer, history in zip(asked, answers, model.histories, strict=True):
        given_history = request["history"] if isinstance(request, dict) else request
        assert history == given_history
        assert answer["movie_id"] == [1, 2]
        assert ("id" in answer) == (isinstance(request, dict) and "id" in request)
        assert answer.get("id") == (request.get("id") if isinstance(request, dict) else None)


words = st.sampled_from(
    ["The", "the", "Matrix", ", The", "Misérables", "300", "(1999)", "(a.k.a. X)", "ночь", "夜", ";", ""]
)
signs = st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"])
titles = st.text(signs, max_size=12) | st.lists(words, min_size=1, max_size=4).map(" ".join)
texts = titles | st.text(max_size=12) | st.lists(titles, max_size=3).map(SEPARATOR.join)


def index_of(listed: list[str]) -> TitleIndex:
    return TitleIndex(Catalogue.of([Movie(place + 1, title, 1999, ()) for place, title in enumerate(listed)]))


def found_or_refused(ask: Callable[[], list[Movie]]) -> list[Movie]:
    try:
        return ask()
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        return []


@given(listed=st.lists(titles, min_size=1, max_size=6), text=texts)
def test_any_text_finds_movies_of_the_catalogue_or_is_refused_in_one_line(listed: list[str], text: str):
    index = index_of(listed)
    known = set(range(1, len(listed) + 1))
    assert {movie.id for movie in index.find(text)} <= known
    for found in (found_or_refused(lambda: [index.find_one(text)]), found_or_refused(lambda: index.find_each(text))):
        assert {movie.id for movie in found} <= known


@given(listed=st.lists(titles, min_size=1, max_size=6, unique_by=normalise), data=st.data())
def test_any_title_in_full_is_found_among_the_movies_it_may_mean(listed: list[str], data):
    title = data.draw(st.sampled_from([title for title in listed if normalise(title)] or [""]))
    if not title or "(" in title:
        # A year in brackets is a condition, and these movies are all of 1999.
        return
    assert listed.index(title) + 1 in {movie.id for movie in index_of(listed).find(title)}


@given(title=st.text(max_size=30))
def test_a_plain_title_is_plain(title: str):
    once = normalise(title)
    assert once == " ".join(once.split())
    assert normalise(once) == once
