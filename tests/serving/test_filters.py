"""Filters as people write them, checked without TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from data.errors import InputError
from data.releases.catalogue import Catalogue, Movie
from serving.filters import Filters, filter_inputs, parse_years, rectangle

CATALOGUE = Catalogue.of([Movie(6, "Heat (1995)", 1995, ("Crime", "Drama")), Movie(7, "Sabrina (1954)", 1954, ())])


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("1994", (1994, 1994)),
        ("1990-1999", (1990, 1999)),
        (" 1990 - 1999 ", (1990, 1999)),
        ("1990-", (1990, 0)),
        ("-1979", (0, 1979)),
    ],
)
def test_years_are_one_or_a_range_that_may_be_open(text: str, years: tuple[int, int]) -> None:
    assert parse_years(text) == years


@pytest.mark.parametrize("text", ["", "-", "nineties", "1990-1999-2000", "1990 1999", "19 90", "99999"])
def test_what_means_no_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a year nor a range such as 1990-1999"):
        parse_years(text)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (Filters(genres=("drama",)), "no movie has the genre 'drama': there are Crime, Drama"),
        (Filters(without_genres=("Noir",)), "no movie has the genre 'Noir': there are Crime, Drama"),
        (Filters(allow=()), "the list of movies to choose from is empty: leave it out to choose from all"),
        (Filters(deny=("6",)), "'6' in a filter is no id of this data set's"),
        (Filters(allow=(True,)), "True in a filter is no id of this data set's"),
        (Filters(first_year=-5), "-5 in a filter is no year"),
        (Filters(last_year=2**63), "9223372036854775808 in a filter is no year"),
        (Filters(first_year=1999, last_year=1990), "the years 1999 to 1990 are none"),
    ],
)
def test_filters_that_are_none_for_the_data_set_are_refused(filters: Filters, message: str) -> None:
    with pytest.raises(InputError) as caught:
        filters.check(CATALOGUE)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(allow=(6, 99), deny=(7,)),
        Filters(genres=("Crime",), without_genres=("Drama",), first_year=1990),
        Filters(first_year=1990, last_year=1990),
    ],
)
def test_filters_for_the_data_set_pass(filters: Filters) -> None:
    filters.check(CATALOGUE)


def test_inputs_of_a_batch_are_filled_up_to_the_longest_row() -> None:
    inputs = filter_inputs([Filters(allow=(6, 7), genres=("Drama",)), Filters(last_year=1960)], [False, True], pad=0)
    assert {name: value.tolist() for name, value in inputs.items()} == {
        "include_seen": [False, True],
        "allow_movie_id": [[6, 7], [0, 0]],
        "deny_movie_id": [[0], [0]],
        "genre": [["Drama"], [""]],
        "without_genre": [[""], [""]],
        "first_year": [0, 0],
        "last_year": [0, 1960],
    }


def test_ids_that_are_texts_stay_texts() -> None:
    [row] = filter_inputs([Filters(deny=("a1", "b"))], [False], pad="<pad>")["deny_movie_id"].tolist()
    assert row == ["a1", "b"]


def test_no_rows_are_an_array_of_no_rows() -> None:
    assert rectangle([], 0, np.int64).shape == (0, 1)
