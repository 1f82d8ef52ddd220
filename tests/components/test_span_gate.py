"""A span that is not like those before it is refused, and the reason is said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from components.spans.settings import SpanGateSettings
from components.spans.span_gate import find_faults
from data.releases.catalogue import Catalogue, Movie


def span(labels: dict[int, int], *, listed: tuple[int, ...] = (), held_out: int = 0):
    """Give a span's manifest and catalogue: how often each movie is a train label, and what else is listed."""
    movies = sorted({*labels, *listed})
    catalogue = Catalogue.of([Movie(movie, f"Movie {movie}", 1990, ()) for movie in movies])
    codes = catalogue.codes_of(np.array(list(labels)))
    counted = catalogue.with_train_labels(codes, np.zeros(len(labels), np.int64), np.array(list(labels.values())))
    return SimpleNamespace(counts=SimpleNamespace(train=sum(labels.values()), eval=held_out)), counted


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
    [fault] = faults(span({1: 40, 77: 60}, listed=(2, 3)), BEFORE)
    assert fault.startswith("60% of its labels are of movies that are no label in the spans before it")
