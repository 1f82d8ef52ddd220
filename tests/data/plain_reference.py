"""The reference's semantics once more, as plain as can be: lists, loops and no library but the standard one.

It shares nothing with the package, not even the hash, so that the two can check each other.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple


class PlainRating(NamedTuple):
    user: int
    movie: int
    stars: float
    time: int


class PlainMovie(NamedTuple):
    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True)
class PlainExample:
    """An example, and what it does not tell: whose it is, when its label was watched, and what came before it."""

    user: int
    position: int
    label_time: int
    is_last: bool
    first_time: int
    history: tuple[int, ...]
    context_movie_id: tuple[int, ...]
    context_movie_rating: tuple[float, ...]
    context_movie_year: tuple[int, ...]
    context_movie_genre: tuple[str, ...]
    context_length: int
    label_movie_id: int


def plain_examples(
    ratings: Iterable[PlainRating],
    movies: Mapping[int, PlainMovie],
    *,
    min_timeline_length: int = 3,
    max_context_length: int = 10,
    max_context_movie_genre_length: int = 10,
    min_rating: float = 2.0,
    min_movie_ratings: int = 1,
) -> list[PlainExample]:
    """Make every example of a release, user by user."""
    timelines: dict[int, list[PlainRating]] = defaultdict(list)
    kept = [rating for rating in ratings if rating.stars >= min_rating]
    number_of = Counter(rating.movie for rating in kept)
    for rating in kept:
        if number_of[rating.movie] >= min_movie_ratings:
            timelines[rating.user].append(rating)
    examples = []
    for user in sorted(timelines):
        timeline = sorted(timelines[user], key=lambda rating: rating.time)
        if len(timeline) < min_timeline_length:
            continue
        for position in range(1, len(timeline)):
            context = timeline[max(0, position - max_context_length) : position]
            padding = max_context_length - len(context)
            genres = [genre for rating in context for genre in _genres(rating.movie, movies)]
            genres = genres[:max_context_movie_genre_length]
            genres += ["UNK"] * (max_context_movie_genre_length - len(genres))
            examples.append(
                PlainExample(
                    user=user,
                    position=position,
                    label_time=timeline[position].time,
                    is_last=position == len(timeline) - 1,
                    first_time=timeline[0].time,
                    history=tuple(rating.movie for rating in timeline[:position]),
                    context_movie_id=(*(rating.movie for rating in context), *[0] * padding),
                    context_movie_rating=(*(rating.stars for rating in context), *[0.0] * padding),
                    context_movie_year=(*(_year(rating.movie, movies) for rating in context), *[0] * padding),
                    context_movie_genre=tuple(genres),
                    context_length=len(context),
                    label_movie_id=timeline[position].movie,
                )
            )
    return examples


def plain_split(
    examples: list[PlainExample], split: str, *, train_fraction: float = 0.9, seed: int = 42
) -> tuple[list[PlainExample], list[PlainExample]]:
    """Divide examples into train and eval, each in the order in which its shards hold it."""
    if split == "leave_one_out":
        train = [example for example in examples if not example.is_last]
    elif split.startswith("global_time"):
        # A first rating is nobody's label, but counts: its time is the context's of the second.
        times = sorted(
            [
                *(example.label_time for example in examples),
                *(example.first_time for example in examples if example.position == 1),
            ]
        )
        number = round(len(times) * train_fraction)
        until = times[number - 1] if number else -1
        train = [example for example in examples if example.label_time <= until]
    else:

        def rank(example: PlainExample) -> int:
            return example.label_time if split == "temporal" else _keyed(_number(example), seed)

        num_train = round(len(examples) * train_fraction)
        cut = sorted(rank(example) for example in examples)[num_train - 1] if num_train else -1
        train = [example for example in examples if rank(example) <= cut]
    chosen = {(example.user, example.position) for example in train}
    held_out = [example for example in examples if (example.user, example.position) not in chosen]
    if split.startswith("global_time"):
        known = {example.user for example in train}
        held_out = [example for example in held_out if example.user in known]
    if split == "global_time_last":
        held_out = [example for example in held_out if example.is_last]

    def order(example: PlainExample) -> int:
        return _mix(_keyed(_number(example), seed) ^ 0x6F72646572)

    return sorted(train, key=order), sorted(held_out, key=order)


def plain_known(train: list[PlainExample], held_out: list[PlainExample]) -> list[PlainExample]:
    """Return the held-out examples whose label occurs in train, as a label or before one."""
    shown = {movie for example in train for movie in (example.label_movie_id, *example.history)}
    return [example for example in held_out if example.label_movie_id in shown]


def plain_popularity(train: Iterable[PlainExample]) -> dict[int, str]:
    """Name the bucket of every movie that is a train label."""
    counts: dict[int, int] = defaultdict(int)
    for example in train:
        counts[example.label_movie_id] += 1
    ranked = sorted(counts, key=lambda movie: (-counts[movie], movie))
    return {movie: "head" if rank < 100 else "middle" if rank < 1000 else "tail" for rank, movie in enumerate(ranked)}


def plain_train_labels(
    train: Iterable[PlainExample], ratings: Iterable[PlainRating], *, num_periods: int = 64
) -> dict[int, dict[int, int]]:
    """Count how often each movie is a train label in each period that has any: movie to period to count."""
    times = [rating.time for rating in ratings]
    first = min(times)
    length = Fraction(max(times) + 1 - first, num_periods)
    counts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for example in train:
        counts[example.label_movie_id][int((example.label_time - first) / length)] += 1
    return {movie: dict(by_period) for movie, by_period in counts.items()}


def _genres(movie: int, movies: Mapping[int, PlainMovie]) -> tuple[str, ...]:
    return movies[movie].genres if movie in movies else ()


def _year(movie: int, movies: Mapping[int, PlainMovie]) -> int:
    found = re.search(r"\((\d\d\d\d)\)", movies[movie].title) if movie in movies else None
    return int(found.group(1)) if found else 0


def _number(example: PlainExample) -> int:
    return example.user << 32 | example.position


def _keyed(number: int, seed: int) -> int:
    return _mix(_mix(number) ^ _mix(seed))


def _mix(number: int) -> int:
    """One step of SplitMix64."""
    wrap = 2**64
    number = (number + 0x9E3779B97F4A7C15) % wrap
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % wrap
    number = (number ^ number >> 27) * 0x94D049BB133111EB % wrap
    return number ^ number >> 31
