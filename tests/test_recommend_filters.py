"""`recommend.py` with filters, on the published sample model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recommend
from data.releases.catalogue import Catalogue

pytestmark = pytest.mark.slow

Answer = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def answer(sample_run: Any, capsys: pytest.CaptureFixture[str]) -> Answer:
    def run(*arguments: str) -> list[dict[str, Any]]:
        assert recommend.main(["--model", str(sample_run.model), "--history", "8,2,35", "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture(scope="module")
def catalogue(sample_run: Any) -> Catalogue:
    return Catalogue.load(sample_run.model / "assets.extra" / "catalogue.jsonl")


def test_of_several_genres_a_movie_has_one_and_of_those_that_are_not_wanted_none(
    answer: Answer, catalogue: Catalogue
) -> None:
    first, second, third, *_ = catalogue.genre_names()
    movies = answer("--genre", first, "--genre", second, "--without-genre", third, "-k", "20")
    assert movies
    for movie in movies:
        assert set(movie["genres"]) & {first, second}
        assert third not in movie["genres"]


def test_years_bound_the_answer(answer: Answer) -> None:
    years = [movie["year"] for movie in answer("--years", "1980-1989", "-k", "20")]
    assert years
    assert min(years) >= 1980
    assert max(years) <= 1989


def test_the_best_of_the_allowed_movies_but_for_those_denied_are_offered_in_the_order_of_the_plain_answer(
    answer: Answer,
) -> None:
    plain = [movie["movie_id"] for movie in answer("-k", "30")]
    allowed = plain[5:20]
    movies = answer(
        "--allow", ",".join(map(str, sorted(allowed))), "--deny", f"[{allowed[0]}, {allowed[3]}]", "-k", "5"
    )
    assert [movie["movie_id"] for movie in movies] == [*allowed[1:3], *allowed[4:7]]


def test_movies_of_the_history_are_offered_where_asked_for_if_they_pass(answer: Answer) -> None:
    movies = answer("--include-seen", "--allow", "8,2,35", "--deny", "2")
    assert {movie["movie_id"] for movie in movies} == {8, 35}


def test_filters_that_leave_nothing_are_told(sample_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert recommend.main(["--model", str(sample_run.model), "--history", "8", "--years", "1700"]) == 0
    told = capsys.readouterr().out
    assert told == f"no movie is left to recommend: the model in {sample_run.model} knows no other that was asked for\n"


@pytest.mark.parametrize("beam", [[], ["--beam-arg=--direct_running_mode=multi_threading"]], ids=["here", "on-beam"])
def test_a_file_of_histories_is_answered_within_filters(
    sample_run: Any, answer: Answer, tmp_path: Path, beam: list[str]
) -> None:
    filters = ["--years", "1980-1999", "-k", "5"]
    expected = [movie["movie_id"] for movie in answer(*filters)]
    (tmp_path / "in.csv").write_text("history\n8 2 35\n")
    batch = ["--batch", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.jsonl")]
    assert recommend.main(["--model", str(sample_run.model), *batch, *filters, *beam]) == 0
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["movie_id"] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--history", "8", "--years", "nineties"), "'nineties' is neither a year nor a range such as 1990-1999"),
        (("--history", "8", "--allow", "eight"), "'eight' in --allow is no id"),
        (("--similar-to", "8", "--deny", "2"), "movies can be chosen by genre, year or id for a history"),
    ],
)
def test_a_wrong_filter_is_refused_in_one_line(
    sample_run: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    try:
        code: Any = recommend.main(["--model", str(sample_run.model), *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
