"""All movies that can be recommended: the release's list, and rated movies that it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError

CATALOGUE_FILE = "catalogue.jsonl"
"""One movie a line, ids ascending: `{"id": 1, "title": "...", "year": 1995, "genres": ["..."]}`."""


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
    """

    ids: NDArray[np.int64]
    titles: Sequence[str]
    years: NDArray[np.int64]
    genres: Sequence[tuple[str, ...]]

    @classmethod
    def of(cls, movies: Iterable[Movie], rated_ids: Iterable[int] = ()) -> Catalogue:
        """Gather movies, and stand-ins without year and genres for rated movies that are not among them."""
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
            raise InputError(f"{path} is not a readable catalogue; generate the data again") from error
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, place: str) -> Catalogue:
        """Return the catalogue that a file holds, wherever that lies.

        Parameters
        ----------
        content
            The file's.
        place
            What an error calls the file.

        Raises
        ------
        InputError
            It is not one.
        """
        try:
            lines = content.decode("utf-8").splitlines()
            rows = json.loads(f"[{','.join(lines)}]")
            movies = [Movie(row["id"], row["title"], row["year"], tuple(row["genres"])) for row in rows]
            return cls.of(movies)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{place} is not a readable catalogue; generate the data again") from error

    def save(self, path: Path) -> None:
        """Write the catalogue to a file; equal catalogues give equal bytes."""
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for movie_id, title, year, genres in zip(
                self.ids.tolist(), self.titles, self.years.tolist(), self.genres, strict=True
            ):
                # ASCII only: a line separator within a title must not look like the end of the line.
                json.dump({"id": movie_id, "title": title, "year": year, "genres": genres}, file)
                file.write("\n")

    def __len__(self) -> int:
        return len(self.ids)

    def indices_of(self, movie_ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Find movies: ids of any shape to places in the catalogue, -1 for ids that it lacks."""
        if not len(self):
            return np.full(movie_ids.shape, -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.ids, movie_ids), len(self) - 1)
        return np.where(self.ids[places] == movie_ids, places, -1)

    def movie(self, movie_id: int) -> Movie:
        """Find a movie; for one that the catalogue lacks, a stand-in that is named by its id."""
        place = int(self.indices_of(np.array(movie_id)))
        if place < 0:
            return Movie(movie_id, f"movie {movie_id}", 0, ())
        return Movie(movie_id, self.titles[place], int(self.years[place]), self.genres[place])

    def title(self, movie_id: int) -> str:
        """Name a movie; one that the catalogue lacks is named by its id."""
        return self.movie(movie_id).title

    def genre_names(self) -> tuple[str, ...]:
        """List every genre that occurs, sorted."""
        return tuple(sorted({genre for genres in self.genres for genre in genres}))
