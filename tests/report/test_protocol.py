"""The table of what two figures have to share before they are compared."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from report_models import full_facts

from components.report.protocol import protocol_rows
from components.report.report_model import ReportModel
from data.splits.division import LeftOut
from data.words import Words


def facts_with(options: dict[str, Any] | None = None, **data: Any) -> ReportModel:
    """Return facts of a run with other options and data."""
    facts = full_facts()
    assert facts.data is not None
    changed = facts.data.model_copy(update={**data, "options": {**facts.data.options, **(options or {})}})
    return facts.model_copy(update={"data": changed})


def test_it_says_what_was_chosen_and_what_it_came_to() -> None:
    rows = dict(protocol_rows(full_facts()))

    assert rows["Ratings"] == "of at least 2 stars"
    assert rows["Users"] == "with at least 3 of them: 48 of 50"
    assert rows["Context"].startswith("the last 10 movies before the label, or as many as there are; from 1 to 10 in")
    assert rows["Split"].startswith("random: a share of all examples trains, by a keyed hash")
    assert rows["Split"].endswith("; train is 90% of the examples")
    assert rows["Seed"] == "42, which decides the split and the order of the examples"
    assert rows["Queries"] == "137: each eval example asks once, and has one label"
    assert rows["Ranked movies"] == "all 45 that train holds of the catalogue's 45; none are sampled"
    assert "release's file" in rows["Ties in time"]
    assert "count against the model" in rows["Ties in score"]
    assert rows["Cold labels"].startswith("0 of 137 eval labels are never a label in train")
    assert "unfiltered" in rows["Left out when ranking"]


@pytest.mark.parametrize(
    ("options", "data", "row", "said"),
    [
        ({"min_rating": 3.5}, {}, "Ratings", "of at least 3.5 stars"),
        ({"min_rating": 0.0}, {}, "Ratings", "all, whatever their weight"),
        ({"seed": 7}, {"split": "leave_one_out"}, "Seed", "7, which decides the order alone of the examples"),
        ({}, {"split": "leave_one_out"}, "Split", "leave-one-out: all examples train but each user's last"),
        ({"train_fraction": 0.8}, {}, "Split", "train is 80% of the examples"),
        ({"max_context_length": 50}, {}, "Context", "the last 50 movies"),
        ({"duplicates": "drop"}, {"release": "shop"}, "Repeats", "at the same second are left out"),
        ({}, {"ties": "by_movie"}, "Ties in time", "ordered by movie and rating"),
        ({"min_movie_ratings": 5}, {}, "Movies", "with at least 5 of these ratings"),
        ({"leave_out": "history"}, {}, "Left out when ranking", "all movies of the query's whole history"),
        (
            {},
            {"split": "global_time", "left_out": LeftOut(users=2, of_users=30, of_movies=4)},
            "Left out of eval",
            "30 labels of 2 users without a train label, and 4 labels of movies that train never shows",
        ),
    ],
    ids=[
        "stars",
        "no filter",
        "seed",
        "split",
        "share",
        "context",
        "repeats",
        "ties",
        "rare movies",
        "whole history",
        "unknown",
    ],
)
def test_it_follows_the_settings(options: dict[str, Any], data: dict[str, Any], row: str, said: str) -> None:
    assert said in dict(protocol_rows(facts_with(options, **data)))[row]


def test_a_model_that_reads_whole_histories_is_told_of() -> None:
    facts = facts_with({"leave_out": "history"}).model_copy(update={"settings": {"model": {"reads": "history"}}})

    said = dict(protocol_rows(facts))["Left out when ranking"]

    assert "all movies of the query's whole history, which the model reads from its beginning" in said


def test_a_split_by_time_says_when_train_ends() -> None:
    until = datetime(2001, 2, 3, 4, 5, tzinfo=timezone.utc)

    rows = dict(protocol_rows(facts_with(split="temporal", train_until=until)))

    assert rows["Split"].endswith("train ends at 2001-02-03 04:05 UTC")


def test_cold_labels_are_counted() -> None:
    facts = full_facts()
    assert facts.data is not None
    facts.data.splits[1].popularity = {"head": 100, "unseen": 37}

    assert dict(protocol_rows(facts))["Cold labels"].startswith("37 of 137 eval labels")


def test_the_items_have_the_data_sets_own_name() -> None:
    rows = protocol_rows(facts_with(words=Words(one="book", many="books", taken="read")))

    assert "movie" not in " ".join(f"{name} {value}" for name, value in rows)
    assert "Ranked books" in dict(rows)


def test_a_run_that_got_to_no_model_says_what_it_knows_of_the_data() -> None:
    facts = full_facts(queries=None, candidates=None)

    assert "Split" in dict(protocol_rows(facts))
    assert "Queries" not in dict(protocol_rows(facts))
    assert protocol_rows(facts.model_copy(update={"data": None})) == []
