"""Ratings in the shape of MovieLens-1M, of any number, for measuring what costs how much.

Users rate in bursts, some many times more than others; movies are as unevenly popular as real ones, and a user's next
movie tends to come from the kind that the last one was of. The ratings say nothing about real movies.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

_RATINGS_PER_USER = 165
_USERS_PER_MOVIE = 1.6
_KINDS = 40
_KEEPS_KIND = 0.7
_FIRST_SECOND = 956_703_932  # in April 2000, when the ratings of MovieLens-1M begin
_STARS = np.arange(1, 6)
_STAR_SHARES = np.array([56174, 107557, 261197, 348971, 226310]) / 1_000_209  # MovieLens-1M's own


def write_ml_1m_like(folder: Path, num_ratings: int, *, num_movies: int | None = None, seed: int = 0) -> None:
    """Write `ratings.dat` and `movies.dat` in the format of MovieLens-1M.

    Parameters
    ----------
    folder
        Is created if missing.
    num_ratings
        How many ratings, nearly; users come in proportion.
    num_movies
        Movies; by default in MovieLens-1M's proportion to users, and at most 4,000.
    seed
        Fixes everything.
    """
    generator = np.random.default_rng(seed)
    num_users = max(2, num_ratings // _RATINGS_PER_USER)
    num_movies = num_movies or min(4_000, max(200, int(num_users / _USERS_PER_MOVIE)))
    lengths = np.maximum(20, generator.lognormal(4.55, 1.0, num_users)).astype(np.int64)
    lengths = np.minimum(np.maximum(20, lengths * num_ratings // lengths.sum()), num_movies // 2)
    folder.mkdir(parents=True, exist_ok=True)
    kind = generator.integers(0, _KINDS, num_movies)
    of_kind = [np.flatnonzero(kind == k) for k in range(_KINDS)]
    popularity = 1 / np.arange(1, num_movies + 1) ** 0.8
    with (folder / "movies.dat").open("w", encoding="latin-1") as file:
        for movie in range(num_movies):
            file.write(f"{movie + 1}::Movie {movie + 1} ({1930 + movie % 70})::Genre{kind[movie] % 18}\n")
    with (folder / "ratings.dat").open("w", encoding="latin-1") as file:
        for user, length in enumerate(lengths):
            movies = _timeline(generator, int(length), of_kind, popularity)
            seconds = _FIRST_SECOND + generator.integers(0, 5e7) + np.cumsum(generator.integers(0, 60, len(movies)))
            stars = generator.choice(_STARS, len(movies), p=_STAR_SHARES)
            file.writelines(
                f"{user + 1}::{movie + 1}::{star}::{second}\n"
                for movie, star, second in zip(movies.tolist(), stars.tolist(), seconds.tolist(), strict=True)
            )


def _timeline(
    generator: np.random.Generator, length: int, of_kind: list[np.ndarray], popularity: np.ndarray
) -> np.ndarray:
    """Draw one user's movies in order, none twice: stretches of one kind, each by popularity."""
    stretches: list[np.ndarray] = []
    drawn = 0
    while drawn < 2 * length:
        movies = of_kind[generator.integers(len(of_kind))]
        size = min(int(generator.geometric(1 - _KEEPS_KIND)), len(movies))
        weights = popularity[movies] / popularity[movies].sum()
        stretches.append(generator.choice(movies, size, replace=False, p=weights))
        drawn += size
    movies = np.concatenate(stretches)
    _, first = np.unique(movies, return_index=True)
    return movies[np.sort(first)][:length]
