"""A span that is not like those before it is refused, and the reason is said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from components.spans.settings import SpanGateSettings
from components.spans.span_gate import find_faults
from data.releases.catalogue import Catalogue, Movie


def span(
    labels: dict[int, int],
    *,
    listed: tuple[int, ...] = (),
    held_out: int = 0,
    unlisted: int = 0,
    undated: tuple[int, ...] = (),
    no_genres: tuple[int, ...] = (),
):
    """Return a span's manifest and catalogue.

    How often each movie is a train label, what else its catalogue lists, how many of the movies the list that arrived
    lacks, and the movies without a year, or genres.
    """
    movies = sorted({*labels, *listed})
    catalogue = Catalogue.of(
        [
            Movie(movie, f"Movie {movie}", 0 if movie in undated else 1990, () if movie in no_genres else ("Drama",))
            for movie in movies
        ]
    )
    codes = catalogue.codes_of(np.array(list(labels)))
    counted = catalogue.with_train_labels(codes, np.zeros(len(labels), np.int64), np.array(list(labels.values())))
    manifest = SimpleNamespace(
        counts=SimpleNamespace(train=sum(labels.values()), eval=held_out),
        span=SimpleNamespace(unlisted=unlisted),
        profile=SimpleNamespace(rated_movies=len(labels)),
    )
    return manifest, counted


def faults(new, before) -> list[str]:
    return list(find_faults(*new, before, SpanGateSettings()))


BEFORE = [span({1: 60, 2: 30, 3: 10}), span({1: 50, 2: 40, 3: 10})]


def test_nothing_is_found_in_the_first_span_and_in_one_like_those_before():
    assert faults(span({1: 1}), []) == []
    assert faults(span({1: 50, 2: 20}, listed=(3,), held_out=10), BEFORE) == []


@pytest.mark.parametrize(("labels", "times"), [(10, "0.10"), (1_500, "15.00")])
def test_a_span_of_an_unusual_volume_is_found(labels, times):
    [fault] = faults(span({1: labels}, listed=(2, 3)), BEFORE)
    assert fault.startswith(f"it has {labels:,} labels, {times} times the 100 of the spans before it")


def test_a_catalogue_that_lost_movies_is_found_by_the_labels_that_they_had():
    [fault] = faults(span({1: 100}, listed=(3,)), BEFORE)
    assert fault.startswith("its catalogue lacks movies that 35% of the labels before are of")


def test_labels_of_another_data_set_are_found():
    [fault] = faults(span({1: 15, 77: 85}, listed=(2, 3)), BEFORE)
    assert fault.startswith("85% of its labels are of movies that are no label in the spans before it")


def test_a_list_that_lost_movies_is_found_though_the_catalogue_keeps_them():
    [fault] = faults(span({1: 50, 2: 25, 3: 20, 4: 5}, unlisted=2), BEFORE)
    assert fault.startswith("50% of the movies of its events are not in the list that arrived, 0% before")
    # A series whose lists never had them all is as it was.
    before = [span({1: 50, 2: 40, 3: 10}, unlisted=1)]
    assert faults(span({1: 50, 2: 25, 3: 20, 4: 5}, unlisted=2), before) == []


def test_labels_whose_movies_lost_their_year_or_their_genres_are_found():
    years, genres = faults(span({1: 60, 2: 30, 3: 10}, undated=(1,), no_genres=(2, 3)), BEFORE)
    assert years.startswith("60% of its labels are of movies without a year, 0% before, and 20% more are allowed")
    assert genres.startswith("40% of its labels are of movies without genres, 0% before")
    # Own items may never have had any.
    before = [span({1: 60, 2: 30, 3: 10}, undated=(1, 2, 3), no_genres=(1, 2, 3))]
    assert faults(span({1: 60, 2: 30, 3: 10}, undated=(1, 2, 3), no_genres=(1, 2, 3)), before) == []
