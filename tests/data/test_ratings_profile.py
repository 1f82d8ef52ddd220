"""What the manifest says of the ratings behind the examples, against plain counting."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timezone
from pathlib import Path
from statistics import median_low

import numpy as np
from data_helpers import write_csv_release
from hypothesis import given
from hypothesis import strategies as st
from plain_reference import PlainRating

from data.examples.manifest import Manifest
from data.examples.ratings_profile import RatingsProfile
from data.generate import generate
from data.options import GenerateOptions
from data.timelines import user_blocks as blocks
from data.timelines.value_tally import ValueTally

OPTIONS = GenerateOptions(release="ml-latest-small", min_rating=3.0, min_timeline_length=2, train_fraction=0.5)

FIRST = 662_688_000
"""The beginning of 1991, in seconds since 1970."""

RATED = st.tuples(st.sampled_from([1.0, 3.0, 5.0]), st.integers(FIRST, FIRST + 2**31))
USERS = st.lists(st.lists(RATED, min_size=1, max_size=9, unique=True), min_size=1, max_size=6)


def tally(values: list[int]) -> ValueTally:
    return ValueTally.of(np.array(values, np.int64))


@given(USERS)
def test_it_is_what_a_plain_count_of_the_ratings_gives(tmp_path_factory, users):
    # Two more users of three kept ratings, so that both splits hold examples.
    users = [*users, *[[(5.0, FIRST), (5.0, FIRST + 1), (5.0, FIRST + 2)]] * 2]
    ratings = [
        PlainRating(user, movie, stars, time)
        for user, timeline in enumerate(users, 1)
        for movie, (stars, time) in enumerate(timeline, 1)
    ]
    folder = tmp_path_factory.mktemp("profile")

    profile = generate(OPTIONS, folder / "out", source=write_csv_release(folder / "source", ratings, {})).profile

    months = Counter(f"{datetime.fromtimestamp(rating.time, timezone.utc):%Y-%m}" for rating in ratings)
    kept = [sum(stars >= 3 for stars, _ in timeline) for timeline in users]
    kept = [length for length in kept if length >= 2]
    lengths = defaultdict(int)
    for length in kept:
        lengths[2 ** (length.bit_length() - 1)] += 1
    assert profile == RatingsProfile(
        by_time=months,
        rated_movies=len({rating.movie for rating in ratings}),
        kept_ratings=sum(kept),
        kept_users=len(kept),
        timeline_lengths=lengths,
        median_timeline_length=median_low(kept),
    )


def test_blocks_change_nothing(small_release: Path, tmp_path: Path, monkeypatch):
    options = GenerateOptions(release="ml-latest-small")
    whole = generate(options, tmp_path / "whole", source=small_release)
    monkeypatch.setattr(blocks, "BYTES_PER_BLOCK", 500)
    parts = generate(options, tmp_path / "parts", source=small_release)
    assert parts.profile == whole.profile


def test_ratings_of_very_many_months_are_counted_by_year():
    days = tally([30 * month for month in range(1_000)])
    profile = RatingsProfile.of(days, tally([3]), rated_movies=1)
    assert set(profile.by_time) == {str(year) for year in range(1970, 2053)}
    assert sum(profile.by_time.values()) == 1_000


def test_a_drawing_by_time_shows_stretches_without_ratings():
    profile = RatingsProfile.of(tally([0, 1, 100, 400]), tally([4]), rated_movies=1)
    assert profile.by_time_without_gaps(14) == {
        **{f"1970-{month:02}": 0 for month in range(1, 13)},
        "1970-01": 2,
        "1970-04": 1,
        "1971-01": 0,
        "1971-02": 1,
    }
    assert profile.by_time_without_gaps(13) == {"1970": 3, "1971": 1}


def test_odd_times_centuries_apart_are_drawn_without_the_years_between():
    profile = RatingsProfile.of(tally([0, 365_000]), tally([2]), rated_movies=1)
    assert profile.by_time_without_gaps(60) == {"1970": 1, "2969": 1}


def test_a_manifest_of_an_earlier_version_has_none(small_release: Path, tmp_path: Path):
    manifest = generate(GenerateOptions(release="ml-latest-small"), tmp_path / "out", source=small_release)
    text = manifest.model_dump_json(exclude={"profile"})
    assert Manifest.parse(text.encode(), "before").profile is None


def test_neither_shards_nor_catalogue_nor_the_digest_hang_on_it(small_release: Path, tmp_path: Path):
    manifest = generate(GenerateOptions(release="ml-latest-small"), tmp_path / "out", source=small_release)
    assert manifest.model_copy(update={"profile": None}).digest == manifest.digest
