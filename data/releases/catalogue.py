"""All movies that can be recommended: the release's list, and rated movies that it lacks."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.movie_ids import MovieId, choose_pad, id_array, is_text, plain_id
from data.timelines.periods import NUM_PERIODS
from data.words import MOVIES

CATALOGUE_FILE = "catalogue.jsonl"
"""One movie a line, ids ascending: `{"id":1,"title":"...","year":1995,"genres":["..."],"train_labels":[[0,12],[5,3]]}`.

`train_labels` holds the periods in which the movie is a train label, each with how often; other movies have none. In a
span of a series `earlier_labels` says how often it is one in the spans before.
"""


_INTEGER = re.compile(r"-?[0-9]{1,19}")
_MAX_BITS = 63


@dataclass(frozen=True)
class Movie:
    """A movie as the release lists it; `year` is 0 if the title has none."""

    id: MovieId
    title: str
    year: int
    genres: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """Movies in the order of their ids.

    Attributes
    ----------
    ids
        `[num_movies]`: int64 or byte strings, distinct and ascending.
    titles
        `[num_movies]`, with the year as the release writes it.
    years
        int64 `[num_movies]`: 0 where unknown.
    genres
        `[num_movies]`: each movie's genres in the release's order, perhaps none.
    train_labels
        int64 `[num_movies, NUM_PERIODS]`: how often each movie is a train label in each period. None in files
        that earlier versions wrote.
    earlier_labels
        int64 `[num_movies]`: how often each movie is a train label in the earlier spans of a series; None without any.
    """

    ids: NDArray[Any]
    titles: Sequence[str]
    years: NDArray[np.int64]
    genres: Sequence[tuple[str, ...]]
    train_labels: NDArray[np.int64] | None = None
    earlier_labels: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, movies: Iterable[Movie], rated_ids: Iterable[MovieId] = (), word: str = MOVIES.one) -> Catalogue:
        """Return the catalogue of movies, with stand-ins for rated movies that they lack.

        A stand-in has neither year nor genres, and its id behind the word for an item as its title.
        """
        by_id = {movie.id: movie for movie in movies}
        for rated in rated_ids:
            if rated not in by_id:
                by_id[rated] = _unlisted(rated, word)
        ids = id_array(by_id, text=isinstance(next(iter(by_id), 0), str))
        listed = list(by_id.values())
        # By the bytes of texts, as arrays are searched.
        order = np.argsort(ids, kind="stable")
        ordered = [listed[place] for place in order.tolist()]
        return cls(
            ids=ids[order],
            titles=[movie.title for movie in ordered],
            years=np.array([movie.year for movie in ordered], dtype=np.int64),
            genres=[movie.genres for movie in ordered],
        )

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        """Read a catalogue that `save` wrote.

        Raises
        ------
        InputError
            The file is missing or damaged.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} is not a readable catalogue; generate the data again", code="G02") from error
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, place: str) -> Catalogue:
        """Return the catalogue from the content of its file.

        Parameters
        ----------
        content
            The file's bytes.
        place
            The file's name in errors.

        Raises
        ------
        InputError
            The content is not a catalogue.
        """
        try:
            lines = content.decode("utf-8").splitlines()
            rows = json.loads(f"[{','.join(lines)}]")
            movies = [Movie(row["id"], row["title"], row["year"], tuple(row["genres"])) for row in rows]
            labels = [
                (code, period, count)
                for code, row in enumerate(rows, 1)
                if "train_labels" in row
                for period, count in row["train_labels"]
            ]
            catalogue = cls.of(movies)
            if [plain_id(movie_id) for movie_id in catalogue.ids.tolist()] != [movie.id for movie in movies]:
                raise ValueError("ids ascend")
            if any("earlier_labels" in row for row in rows):
                earlier = np.array([row.get("earlier_labels", 0) for row in rows], dtype=np.int64)
                catalogue = replace(catalogue, earlier_labels=earlier)
            return catalogue.with_train_labels(*np.array(labels, dtype=np.int64).T) if labels else catalogue
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(f"{place} is not a readable catalogue; generate the data again", code="G02") from error

    def with_train_labels(
        self, codes: NDArray[np.int64], periods: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> Catalogue:
        """Return this catalogue with how often its movies are train labels.

        Parameters
        ----------
        codes, periods
            int64 `[n]`: distinct pairs of a movie's code and a period.
        counts
            int64 `[n]`: how often each occurs.

        Raises
        ------
        ValueError
            A period is out of range, or a count is not positive.
        """
        if len(periods) and not (periods.min() >= 0 and periods.max() < NUM_PERIODS and counts.min() > 0):
            raise ValueError(f"counts are positive, in periods from 0 to {NUM_PERIODS - 1}")
        train_labels = np.zeros((len(self), NUM_PERIODS), dtype=np.int64)
        train_labels[codes - 1, periods] = counts
        return replace(self, train_labels=train_labels)

    def behind(self, before: Catalogue) -> Catalogue:
        """Return this catalogue as that of the span behind another one, whose train labels and earlier ones it counts.

        It holds all movies of the other one that are labels.
        """
        counts = np.zeros(len(before), dtype=np.int64)
        if before.earlier_labels is not None:
            counts += before.earlier_labels
        if before.train_labels is not None:
            counts += before.train_labels.sum(axis=1)
        earlier = np.zeros(len(self), dtype=np.int64)
        earlier[self.indices_of(before.ids[counts > 0])] = counts[counts > 0]
        return replace(self, earlier_labels=earlier)

    def with_movies_of(self, earlier: Catalogue, word: str = MOVIES.one) -> Catalogue:
        """Return the movies of two catalogues of ids of one kind, without counts.

        Of a movie that both have, this catalogue's title, year and genres hold, unless it has a stand-in alone: see
        `of`, also for the word.
        """
        movies = {movie.id: movie for movie in earlier}
        for movie in self:
            if movie.id not in movies or movie != _unlisted(movie.id, word):
                movies[movie.id] = movie
        return Catalogue.of(movies.values())

    def are_stand_ins(self, word: str = MOVIES.one) -> NDArray[np.bool_]:
        """Return which movies no list named, bool `[num_movies]`: see `of`, also for the word."""
        return np.array([movie == _unlisted(movie.id, word) for movie in self], dtype=bool)

    def only(self, is_kept: NDArray[np.bool_]) -> Catalogue:
        """Return some of the movies, given bool `[num_movies]`, without counts."""
        rows = np.flatnonzero(is_kept)
        return Catalogue(
            ids=self.ids[rows],
            titles=[self.titles[row] for row in rows],
            years=self.years[rows],
            genres=[self.genres[row] for row in rows],
        )

    def __iter__(self) -> Iterator[Movie]:
        """Yield the movies in their order."""
        for place, (title, genres) in enumerate(zip(self.titles, self.genres, strict=True)):
            yield Movie(plain_id(self.ids[place]), title, int(self.years[place]), genres)

    def save(self, path: Path) -> None:
        """Write the catalogue to a file; equal catalogues give equal bytes."""
        train_labels = self._sparse_train_labels()
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for place, (movie_id, title, year, genres) in enumerate(
                zip(self.ids.tolist(), self.titles, self.years.tolist(), self.genres, strict=True)
            ):
                row = {"id": plain_id(movie_id), "title": title, "year": year, "genres": genres}
                if place in train_labels:
                    row["train_labels"] = train_labels[place]
                if self.earlier_labels is not None and self.earlier_labels[place]:
                    row["earlier_labels"] = int(self.earlier_labels[place])
                # ASCII only: a line separator within a title must not look like the end of the line. Without blanks,
                # which would make up a fifth of the counts.
                file.write(f"{json.dumps(row, separators=(',', ':'))}\n")

    def _sparse_train_labels(self) -> dict[int, list[tuple[int, int]]]:
        """Return periods and counts by the rows of the movies that have any."""
        sparse: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        if self.train_labels is not None:
            places, periods = np.nonzero(self.train_labels)
            counts = self.train_labels[places, periods]
            for place, period, count in zip(places.tolist(), periods.tolist(), counts.tolist(), strict=True):
                sparse[place].append((period, count))
        return sparse

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def pad(self) -> MovieId:
        """What stands for no movie in examples, requests and answers: no movie has this id."""
        return choose_pad(self.ids)

    def codes_of(self, movie_ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes of movies, int64 in the shape of their ids; `NO_MOVIE` for ids that the catalogue lacks."""
        return self.indices_of(movie_ids) + 1

    def parse_id(self, text: str) -> MovieId | None:
        """Return the movie that a text is the id of; None where the catalogue has none."""
        if is_text(self.ids):
            return text if self.has(text) else None
        if not _INTEGER.fullmatch(text):
            return None
        return int(text) if self.has(int(text)) else None

    @property
    def has_texts(self) -> bool:
        """Whether ids are texts; else they are integers."""
        return is_text(self.ids)

    def may_be_id(self, value: object) -> bool:
        """Return whether a value is of the ids' kind: negative integers are, where a movie has such an id."""
        if self.has_texts:
            return isinstance(value, str)
        return type(value) is int and self._least_id <= value < 2**_MAX_BITS

    @cached_property
    def _least_id(self) -> int:
        return min(0, int(self.ids.min(initial=0)))

    def has(self, movie_id: MovieId) -> bool:
        """Return whether the catalogue holds a movie."""
        return self._place(movie_id) >= 0

    def indices_of(self, movie_ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the rows of movies, int64 in the shape of their ids; -1 for ids that the catalogue lacks."""
        if not len(self):
            return np.full(movie_ids.shape, -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.ids, movie_ids), len(self) - 1)
        return np.where(self.ids[places] == movie_ids, places, -1)

    def _place(self, movie_id: MovieId) -> int:
        """Return a movie's row; -1 if the catalogue lacks it."""
        text = is_text(self.ids)
        if isinstance(movie_id, str) is not text or (isinstance(movie_id, int) and movie_id.bit_length() > _MAX_BITS):
            return -1
        return int(self.indices_of(id_array([movie_id], text=text))[0])

    def movie(self, movie_id: MovieId) -> Movie:
        """Return a movie; for one that the catalogue lacks, a stand-in that is named by its id."""
        place = self._place(movie_id)
        if place < 0:
            return _unlisted(movie_id)
        return Movie(movie_id, self.titles[place], int(self.years[place]), self.genres[place])

    def title(self, movie_id: MovieId) -> str:
        """Return a movie's title; one that the catalogue lacks is named by its id."""
        return self.movie(movie_id).title

    def title_of(self, text: str) -> str:
        """Return the title of the movie that a text is the id of; one that the catalogue lacks is named by its id."""
        movie_id = self.parse_id(text)
        return _unlisted(text).title if movie_id is None else self.title(movie_id)

    def years_and_genres(self, movie_ids: NDArray[Any]) -> tuple[NDArray[np.int64], list[tuple[str, ...]]]:
        """Return years, 0 where unknown, and genres of movies; those that the catalogue lacks have neither."""
        places = self.indices_of(movie_ids)
        years = np.zeros(len(places), np.int64)
        years[places >= 0] = self.years[places[places >= 0]]
        return years, [self.genres[place] if place >= 0 else () for place in places.tolist()]

    def genre_names(self) -> tuple[str, ...]:
        """Return every genre that occurs, sorted."""
        return tuple(sorted({genre for genres in self.genres for genre in genres}))


def _unlisted(movie_id: MovieId, word: str = MOVIES.one) -> Movie:
    """Return what stands for a movie that no list names."""
    return Movie(movie_id, f"{word} {movie_id}", 0, ())
