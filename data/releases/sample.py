"""A small release of invented movies whose next movie depends on the order of the last two.

Movies fall into classes. The class of the next movie is `RULE[class of the last but one][class of the last]`,
save for a little noise. The rule is a Latin square: every row and every column holds every class once, so
that the last movie alone says nothing about the next one, and neither does the set of recent movies. Only a
model of the order can learn it.
"""

from __future__ import annotations

import csv
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from random import Random

NUM_CLASSES = 10
MOVIES_PER_CLASS = 16
"""Together 160 movies: a hundred can be recommended even without the ten of a context."""

NUM_USERS = 700
SHORTEST, LONGEST = 25, 45
"""Ratings of a user's timeline, without disliked movies: no user needs the same movie twice."""

NOISE = 0.08
"""How often the next movie is of any class."""

DISLIKED = 0.03
"""How often a movie outside the rule gets one star and a half or less: the filter by stars removes it."""

_SKEW = 0.93
"""The weight of a class's movie as against the one before it."""

_SEED = 20
_FIRST_TIME = 1_420_070_400  # 2015-01-01
_LIKED_STARS = ("2.0", "2.5", "3.0", "3.5", "3.5", "4.0", "4.0", "4.5", "5.0")
_DISLIKED_STARS = ("0.5", "1.0", "1.5")
_GENRES = ("Action", "Comedy", "Drama", "Fantasy", "Mystery", "Romance", "Sci-Fi", "Thriller")
_QUALITIES = (
    "Amber", "Broken", "Crooked", "Distant", "Electric", "Forgotten", "Gentle", "Hollow",
    "Iron", "Jade", "Kindled", "Last", "Midnight", "Northern", "Opal", "Paper",
)  # fmt: skip
_THINGS = (
    "Harbor", "Orchard", "Letter", "Lantern", "Train", "Garden", "Mirror", "River", "Winter", "Witness",
)  # fmt: skip


def write_sample_release(folder: Path) -> None:
    """Write the sample in the format of ml-latest-small; every call writes the same bytes.

    Parameters
    ----------
    folder
        Gets `ratings.csv` and `movies.csv`; it is created if need be.

    Raises
    ------
    OSError
        The folder can't be written.
    """
    # Of Python's and numpy's generators, only `Random.random` is promised to stay the same in all versions.
    chance = _Chance(_SEED)
    classes = _classes(chance)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "movies.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["movieId", "title", "genres"])
        writer.writerows(_movies(sorted(movie for movies in classes for movie in movies), chance))
    with (folder / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["userId", "movieId", "rating", "timestamp"])
        for user in range(1, NUM_USERS + 1):
            writer.writerows(_ratings(user, classes, chance))


def sample_classes() -> tuple[tuple[int, ...], ...]:
    """Return the classes, each the ids of its movies: what a model would have to learn."""
    return _classes(_Chance(_SEED))


def sample_rule() -> tuple[tuple[int, ...], ...]:
    """Return the rule: at `[class of the last but one][class of the last]` the class that follows."""
    chance = _Chance(_SEED + 1)
    rows, columns, symbols = (chance.shuffled(range(NUM_CLASSES)) for _ in range(3))
    return tuple(tuple(symbols[(row + column) % NUM_CLASSES] for column in columns) for row in rows)


class _Chance:
    """Draws that are the same under every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - nothing secret is drawn

    def below(self, limit: int) -> int:
        return int(self._random.random() * limit)

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def one_of(self, options: Sequence[str]) -> str:
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[int], weights: Sequence[float]) -> int:
        cumulative = list(accumulate(weights))
        return options[bisect(cumulative, self._random.random() * cumulative[-1], 0, len(options) - 1)]

    def shuffled(self, options: Sequence[int]) -> list[int]:
        rest = list(options)
        return [rest.pop(self.below(len(rest))) for _ in range(len(rest))]


def _classes(chance: _Chance) -> tuple[tuple[int, ...], ...]:
    """Return classes of ids that are dealt at random, so that neither their size nor their order tells the class."""
    ids = chance.shuffled(range(1, 4 * NUM_CLASSES * MOVIES_PER_CLASS))[: NUM_CLASSES * MOVIES_PER_CLASS]
    return tuple(tuple(ids[start : start + MOVIES_PER_CLASS]) for start in range(0, len(ids), MOVIES_PER_CLASS))


def _movies(ids: Sequence[int], chance: _Chance) -> list[tuple[int, str, str]]:
    """Return movies with invented titles, years and genres, none of which depends on the class."""
    names = chance.shuffled(range(len(_QUALITIES) * len(_THINGS)))
    movies = []
    for movie, name in zip(ids, names, strict=True):
        title = f"The {_QUALITIES[name % len(_QUALITIES)]} {_THINGS[name // len(_QUALITIES)]}"
        if not chance.happens(0.03):
            title = f"{title} ({1960 + chance.below(60)})"
        genres = sorted({chance.one_of(_GENRES) for _ in range(1 + chance.below(3))})
        movies.append((movie, title, "(no genres listed)" if chance.happens(0.03) else "|".join(genres)))
    return movies


def _ratings(user: int, classes: Sequence[Sequence[int]], chance: _Chance) -> list[tuple[int, int, str, int]]:
    """Return a user's invented ratings in the order of time."""
    rule = sample_rule()
    weights = [_SKEW**place for place in range(MOVIES_PER_CLASS)]
    seen: set[int] = set()
    before, last = chance.below(NUM_CLASSES), chance.below(NUM_CLASSES)
    time = _FIRST_TIME + chance.below(5 * 365 * 86_400)
    ratings = []
    for _ in range(SHORTEST + chance.below(LONGEST - SHORTEST + 1)):
        following = chance.below(NUM_CLASSES) if chance.happens(NOISE) else rule[before][last]
        unseen = [place for place in range(MOVIES_PER_CLASS) if classes[following][place] not in seen]
        if not unseen:
            break
        movie = classes[following][chance.weighted(unseen, [weights[place] for place in unseen])]
        seen.add(movie)
        time += 30 + chance.below(3 * 86_400)
        ratings.append((user, movie, chance.one_of(_LIKED_STARS), time))
        before, last = last, following
        other = classes[chance.below(NUM_CLASSES)][chance.below(MOVIES_PER_CLASS)]
        if chance.happens(DISLIKED) and other not in seen:
            seen.add(other)
            time += 30
            ratings.append((user, other, chance.one_of(_DISLIKED_STARS), time))
    return ratings
