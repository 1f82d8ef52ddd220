"""All movies that can be recommended: the release's list, and rated movies that it lacks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.timelines.periods import NUM_PERIODS

CATALOGUE_FILE = "catalogue.jsonl"
"""One movie a line, ids ascending: `{"id":1,"title":"...","year":1995,"genres":["..."],"train_labels":[[0,12],[5,3]]}`.

`train_labels` holds the periods in which the movie is a train label, each with how often; other movies have none.
"""


@dataclass(frozen=True)
class Movie:
    """A movie as the release lists it; `year` is 0 if the title has none."""

    id: int
    title: str
    year: int
    genres: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """Movies in the order of their ids.

    Attributes
    ----------
    ids
        int64 `[num_movies]`: GroupLens's ids, ascending.
    titles
        `[num_movies]`, with the year as the release writes it.
    years
        int64 `[num_movies]`: 0 where unknown.
    genres
        `[num_movies]`: each movie's genres in the release's order, perhaps none.
    train_labels
        int64 `[num_movies, NUM_PERIODS]`: how often each movie is a train label in each period. None in files
        that earlier versions wrote.
    """

    ids: NDArray[np.int64]
    titles: Sequence[str]
    years: NDArray[np.int64]
    genres: Sequence[tuple[str, ...]]
    train_labels: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, movies: Iterable[Movie], rated_ids: Iterable[int] = ()) -> Catalogue:
        """Return the catalogue of movies, with stand-ins without year and genres for rated movies that they lack."""
        by_id = {movie.id: movie for movie in movies}
        for rated in rated_ids:
            if rated not in by_id:
                by_id[rated] = Movie(rated, f"movie {rated}", 0, ())
        ordered = [by_id[movie_id] for movie_id in sorted(by_id)]
        return cls(
            ids=np.array([movie.id for movie in ordered], dtype=np.int64),
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
                (row["id"], period, count)
                for row in rows
                if "train_labels" in row
                for period, count in row["train_labels"]
            ]
            catalogue = cls.of(movies)
            return catalogue.with_train_labels(*np.array(labels, dtype=np.int64).T) if labels else catalogue
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(f"{place} is not a readable catalogue; generate the data again", code="G02") from error

    def with_train_labels(
        self, movie_ids: NDArray[np.int64], periods: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> Catalogue:
        """Return this catalogue with how often its movies are train labels.

        Parameters
        ----------
        movie_ids, periods
            int64 `[n]`: distinct pairs of a movie of the catalogue and a period.
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
        train_labels[self.indices_of(movie_ids), periods] = counts
        return replace(self, train_labels=train_labels)

    def save(self, path: Path) -> None:
        """Write the catalogue to a file; equal catalogues give equal bytes."""
        train_labels = self._sparse_train_labels()
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for place, (movie_id, title, year, genres) in enumerate(
                zip(self.ids.tolist(), self.titles, self.years.tolist(), self.genres, strict=True)
            ):
                row = {"id": movie_id, "title": title, "year": year, "genres": genres}
                if place in train_labels:
                    row["train_labels"] = train_labels[place]
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

    def indices_of(self, movie_ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the rows of movies, int64 in the shape of their ids; -1 for ids that the catalogue lacks."""
        if not len(self):
            return np.full(movie_ids.shape, -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.ids, movie_ids), len(self) - 1)
        return np.where(self.ids[places] == movie_ids, places, -1)

    def movie(self, movie_id: int) -> Movie:
        """Return a movie; for one that the catalogue lacks, a stand-in that is named by its id."""
        place = int(self.indices_of(np.array(movie_id)))
        if place < 0:
            return Movie(movie_id, f"movie {movie_id}", 0, ())
        return Movie(movie_id, self.titles[place], int(self.years[place]), self.genres[place])

    def title(self, movie_id: int) -> str:
        """Return a movie's title; one that the catalogue lacks is named by its id."""
        return self.movie(movie_id).title

    def genre_names(self) -> tuple[str, ...]:
        """Return every genre that occurs, sorted."""
        return tuple(sorted({genre for genres in self.genres for genre in genres}))
