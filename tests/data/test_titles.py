from __future__ import annotations

import numpy as np
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
    13: "Twelve Monkeys (a.k.a. 12 Monkeys) (1995)",
    14: "(500) Days of Summer (2009)",
    15: "Money Train (1995)",
    16: "Strangers on a Train (1951)",
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
        ("12 monkeys", 13),
        ("Se7en", 9),
        ("le fabuleux destin d'amelie poulain", 12),
        ("500 days of summer", 14),
        ("a new hope", 4),
        ("Empire Strikes Back", 5),
        ("empire strkes back", 5),
        ("strikes back", 5),
        ("sabrina 1954", 6),
        ("monkeys twelve", 13),
    ],
)
def test_a_title_is_found_as_people_type_it(index: TitleIndex, text: str, movie_id: int) -> None:
    assert [movie.id for movie in index.find(text)] == [movie_id]


@pytest.mark.parametrize(("text", "ids"), [("star wars", {4, 5}), ("sabrina", {6, 7}), ("Train", {15, 16})])
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


OTHERS = {
    1: "Левиафан (2014)",
    2: "Дурак (2014)",
    3: "Батальонъ (2015)",
    5: "Москва слезам не верит (1979)",
    6: "Сталкер (1979)",
    7: "2046 (2004)",
    8: "21 (2008)",
    9: "9 (2009)",
    10: "1969 (1988)",
    11: "Steins;Gate the Movie: The Burden of Déjà vu (2013)",
    12: "Gate, The (1987)",
    13: "Père (2000)",
    14: "Pere (2001)",
    15: "Heat (1995)",
}


@pytest.fixture(scope="module")
def others() -> TitleIndex:
    return TitleIndex(Catalogue.of([Movie(id_, title, int(title[-5:-1]), ()) for id_, title in OTHERS.items()]))


@pytest.mark.parametrize(
    ("text", "movie_id"),
    [("Левиафан", 1), ("дурак (2014)", 2), ("Сталкер (1979)", 6), ("Батальон", 3), ("père", 13), ("pere", 14)],
)
def test_titles_are_compared_in_any_script_and_accents_count_first(others: TitleIndex, text: str, movie_id: int):
    assert others.find_one(text).id == movie_id


@pytest.mark.parametrize("text", ["Аритмия (2015)", "Ночной дозор (2004)", "21 грамм", "9 рота", "Сталинград 1993"])
def test_a_title_that_shares_nothing_with_any_is_like_none(others: TitleIndex, text: str):
    with pytest.raises(InputError, match="no title in the catalogue is like"):
        others.find_one(text)


@pytest.mark.parametrize(
    ("text", "movie_ids"),
    [
        ("Steins;Gate the Movie: The Burden of Déjà vu (2013)", [11]),
        ("Steins;Gate", [11]),
        ("Heat; Steins;Gate the Movie ; 12;", [15, 11, 12]),
        ("Heat; the gate", [15, 12]),
        ("21; 9", [8, 9]),
        ("6;heat", [6, 15]),
    ],
)
def test_titles_that_hold_the_separator_are_found_whole_and_ids_among_them(
    others: TitleIndex, text: str, movie_ids: list[int]
):
    assert [movie.id for movie in others.find_each(text)] == movie_ids


def with_counts(titles: dict[str, int]) -> TitleIndex:
    """Return an index of titles, each with how often it is a train label."""
    catalogue = Catalogue.of([Movie(1 + place, title, 1999, ()) for place, title in enumerate(titles)])
    places, counts = np.arange(len(titles)), np.array(list(titles.values()))
    return TitleIndex(catalogue.with_train_labels(places + 1, np.zeros(len(titles), np.int64), counts))


def test_a_title_that_a_far_better_known_one_begins_with_is_not_taken_without_asking():
    index = with_counts({"Rings, The (1999)": 3, "Rings: The Fellowship, The (1999)": 90, "Rings Again (1999)": 1})
    with pytest.raises(InputError, match=r"could be: Rings, The \(1999\) \[1\]; Rings: The Fellowship, The \(1999\)"):
        index.find_one("rings")
    assert index.find_one("Rings, The (1999)").id == 1


def test_a_well_known_title_is_taken_though_others_begin_so():
    assert with_counts({"Toy Story (1999)": 90, "Toy Story 2 (1999)": 60}).find_one("toy story").id == 1


def test_of_many_titles_the_best_known_are_named_and_the_others_counted():
    index = with_counts({f"Train number {place} (1999)": place for place in range(1, 10)})
    with pytest.raises(InputError, match=r"Train number 9 .*Train number 5 \(1999\) \[5\] and 4 more\. Write"):
        index.find_one("train")
