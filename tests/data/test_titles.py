from __future__ import annotations

import pytest

from data.errors import InputError
from data.releases.catalogue import Catalogue, Movie
from serving.titles import TitleIndex, normalise

TITLES = {
    1: "Matrix, The (1999)",
    2: "Back to the Future (1985)",
    3: "Back to the Future Part II (1989)",
    4: "Star Wars: Episode IV - A New Hope (1977)",
    5: "Star Wars: Episode V - The Empire Strikes Back (1980)",
    6: "Sabrina (1954)",
    7: "Sabrina (1995)",
    8: "Misérables, Les (1995)",
    9: "Seven (a.k.a. Se7en) (1995)",
    10: "300",
    11: "<script>alert(1)</script> (2001)",
    12: "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
}


@pytest.fixture(scope="module")
def index() -> TitleIndex:
    years = {movie_id: int(title[-5:-1]) if title.endswith(")") else 0 for movie_id, title in TITLES.items()}
    return TitleIndex(Catalogue.of([Movie(id_, title, years[id_], ()) for id_, title in TITLES.items()]))


@pytest.mark.parametrize(
    ("text", "movie_id"),
    [
        ("The Matrix", 1),
        ("matrix", 1),
        ("the matrx", 1),
        ("Matrix, The (1999)", 1),
        ("back to the future", 2),
        ("Back to the Future Part II", 3),
        ("Sabrina (1954)", 6),
        ("les miserables", 8),
        ("seven", 9),
        ("300", 10),
        ("amelie", 12),
    ],
)
def test_a_title_is_found_as_people_type_it(index: TitleIndex, text: str, movie_id: int) -> None:
    assert [movie.id for movie in index.find(text)] == [movie_id]


@pytest.mark.parametrize(("text", "ids"), [("star wars", {4, 5}), ("sabrina", {6, 7})])
def test_a_title_that_may_mean_several_movies_gives_all_of_them(index: TitleIndex, text: str, ids: set[int]) -> None:
    assert {movie.id for movie in index.find(text)} == ids
    with pytest.raises(InputError, match="could be"):
        index.find_one(text)


@pytest.mark.parametrize("text", ["", "   ", "?!", "xyzzy plugh", "(1999)"])
def test_what_is_like_no_title_gives_none(index: TitleIndex, text: str) -> None:
    assert index.find(text) == []


def test_a_year_that_no_such_movie_has_gives_none(index: TitleIndex) -> None:
    assert index.find("The Matrix (1955)") == []


def test_an_empty_catalogue_has_no_titles() -> None:
    assert TitleIndex(Catalogue.of([])).find("anything") == []


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("Matrix, The (1999)", "the matrix"),
        ("Seven (a.k.a. Se7en) (1995)", "seven"),
        ("(500) Days of Summer (2009)", "days of summer"),
        ("(2001) (2001)", "2001"),
        ("8½ (1963)", "812"),
    ],
)
def test_titles_are_reduced_to_what_people_agree_on(title: str, plain: str) -> None:
    assert normalise(title).replace(" ", "") == plain.replace(" ", "")
