"""Releases that several test files use."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_helpers import write_csv_release
from plain_reference import PlainMovie, PlainRating


@pytest.fixture
def small_release(tmp_path: Path) -> Path:
    """Forty users with twelve ratings each, among them ties, low stars and an unlisted movie."""
    ratings = [
        PlainRating(
            user, 1 + (user * 7 + place * place) % 60, (1 + (user + place) % 10) / 2, 10**9 + 2 * user + place // 2
        )
        for user in range(1, 41)
        for place in range(12)
    ]
    ratings = list(dict.fromkeys(ratings))
    movies = {movie: PlainMovie(f"Movie {movie} ({1950 + movie})", ("Drama", "War")) for movie in range(1, 60)}
    return write_csv_release(tmp_path / "small-release", ratings, movies)
