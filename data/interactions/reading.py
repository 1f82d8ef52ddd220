"""A person's own interactions and items, read into ratings and a catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.errors import InputError
from data.features import NO_GENRE
from data.interactions.files import DataFile, content_digest, find_files
from data.interactions.tables import Piece, read_pieces
from data.interactions.values import (
    ColumnError,
    IdKind,
    as_ids,
    as_ratings,
    as_times,
    distinct,
    kind_of,
    raise_fault,
    user_id,
    user_numbers,
)
from data.movie_ids import MovieId, id_array
from data.options import ColumnNames, GenerateOptions
from data.releases.catalogue import Catalogue, Movie
from data.releases.movies_list import MAX_GENRE_BYTES, year_of
from data.timelines.timelines import RATING_DTYPE

USUAL_NAMES = {
    "user": ("user", "user_id", "userid", "uid", "customer_id", "visitor_id", "visitorid", "session_id"),
    "item": ("item", "item_id", "itemid", "movie", "movie_id", "movieid", "product_id", "article_id", "sku", "iid"),
    "timestamp": ("timestamp", "time", "ts", "event_time", "datetime", "date", "created_at"),
    "rating": ("rating", "stars", "score", "weight"),
    "title": ("title", "name"),
    "year": ("year",),
    "genres": ("genres", "genre", "categories", "category"),
}
"""Names of columns that are known without being told, whatever their letters' size."""

_NEEDED = ("user", "item", "timestamp")
_UNRATED = 1.0
"""The rating of an interaction that has none."""

_NO_GENRES = frozenset({"", "(no genres listed)", NO_GENRE})
_MAX_YEAR = 2100


class Interactions:
    """Files of interactions and, perhaps, of items: see `data.reader.Reader`.

    Parameters
    ----------
    interactions, items
        As for `data.interactions.files.find_files`.
    options
        The columns' names, and what ids are.
    keep_users
        Whether to keep every user's own id in memory, for `users_of`.

    Raises
    ------
    InputError
        The files are not there, or of another format.
    """

    def __init__(
        self, interactions: str, items: str | None, options: GenerateOptions, *, keep_users: bool = False
    ) -> None:
        self.label = interactions
        self.num_unlisted = 0
        self._files = find_files(interactions)
        self._item_files = find_files(items) if items is not None else []
        self._columns = options.columns or ColumnNames()
        self._word = options.wording.one
        self._given_kind: IdKind | None = options.item_ids
        self._kind = self._given_kind
        # In the order in which they were first seen.
        self._numbers: dict[MovieId, int] = {}
        self._keep_users = keep_users
        self._users: dict[int, MovieId] = {}

    @property
    def text_size(self) -> int:
        """About how many bytes the interactions have as text."""
        return sum(file.text_size for file in self._files)

    def check_beginning(self) -> None:
        """Read the first rows."""
        next(self.ratings(), None)

    def digest(self) -> str:
        """Return the digest of all files' content."""
        return content_digest([*self._files, *self._item_files])

    def ratings(self) -> Iterator[NDArray[np.void]]:
        """Read the interactions; items are numbered as they come: see `codes_of`.

        Yields
        ------
        NDArray[np.void]
            `RATING_DTYPE[n]`.

        Raises
        ------
        InputError
            A file can't be read, lacks a column, or a value can't be used: the message gives the row.
        """
        self._numbers, self._users, self._kind = {}, {}, self._given_kind
        found_any = False
        names = {name: getattr(self._columns, name) for name in (*_NEEDED, "rating")}
        for file in self._files:
            for piece in read_pieces(file, names, USUAL_NAMES):
                self._check_columns(file, piece, _NEEDED)
                found_any = True
                yield self._ratings_of(file, piece)
        if not found_any:
            raise InputError(f"{self.label} holds no interactions", code="D15")

    def catalogue(self, rated: NDArray[np.int32]) -> Catalogue:
        """Return all items: those that the items' files list, and those that interactions name, after `ratings`.

        Raises
        ------
        InputError
            As `ratings`, or an item is listed twice.
        """
        movies = [movie for file in self._item_files for movie in self._read_items(file)]
        listed = Counter(movie.id for movie in movies)
        twice = [item for item, times in listed.items() if times > 1]
        if twice:
            raise InputError(f"{self._item_files[0].label}: item {twice[0]!r} is listed a second time", code="D22")
        if movies:
            self.num_unlisted = sum(item not in listed for item in self._numbers)
        return Catalogue.of(movies, self._numbers, self._word)

    def codes_of(self, catalogue: Catalogue) -> Callable[[NDArray[np.int32]], NDArray[np.int64]]:
        """Return the look-up of codes by the numbers that `ratings` gave."""
        return catalogue.codes_of(id_array(self._numbers, text=self._kind == "text")).take

    def users_of(self, numbers: NDArray[np.uint64]) -> pa.Array:
        """Return the users' own ids, which have to be kept: integers if all users' are, else texts."""
        are_integers = all(isinstance(user, int) for user in self._users.values())
        users = [self._users[number] for number in numbers.tolist()]
        return pa.array(users, pa.int64()) if are_integers else pa.array(map(str, users), pa.string())

    def report_repeat(self, rating: NDArray[np.void], progress: Callable[[str], None]) -> None:
        """Note that interactions occur more than once, and are kept."""
        progress("note: interactions occur more than once and are all kept; data.duplicates=drop keeps one of each")

    def _ratings_of(self, file: DataFile, piece: Piece) -> NDArray[np.void]:
        columns = piece.columns
        ratings = np.empty(len(columns["user"]), dtype=RATING_DTYPE)
        meaning = "user"
        try:
            users, values = distinct(columns["user"])
            numbers = user_numbers(values)
            ratings["user"] = numbers[users]
            if self._keep_users:
                self._users.update(zip(numbers.tolist(), map(user_id, values), strict=True))
            meaning = "item"
            ratings["movie"] = self._number(*distinct(columns["item"]))
            meaning = "timestamp"
            ratings["time"] = as_times(columns["timestamp"])
            meaning = "rating"
            ratings["stars"] = as_ratings(columns["rating"]) if "rating" in columns else _UNRATED
        except ColumnError as error:
            raise_fault(file.label, piece.first_row, meaning, error)
        return ratings

    def _number(self, places: NDArray[np.int64], values: list[Any]) -> NDArray[np.int32]:
        """Return the numbers of a piece's items."""
        if self._kind is None:
            self._kind = kind_of(values)
        numbers = [self._numbers.setdefault(item, len(self._numbers)) for item in as_ids(places, values, self._kind)]
        return np.array(numbers, dtype=np.int32)[places]

    def _read_items(self, file: DataFile) -> Iterator[Movie]:
        names = {name: getattr(self._columns, name) for name in ("item", "title", "year", "genres")}
        for piece in read_pieces(file, names, USUAL_NAMES):
            self._check_columns(file, piece, ("item",))
            meaning = "item"
            try:
                places, values = distinct(piece.columns["item"])
                if self._kind is None:
                    self._kind = kind_of(values)
                ids = as_ids(places, values, self._kind)
                meaning = "year"
                rows = len(places)
                titles = piece.columns["title"].to_pylist() if "title" in piece.columns else [None] * rows
                years = _years(piece.columns["year"]) if "year" in piece.columns else [None] * rows
                meaning = "genres"
                genres = _genres(piece.columns["genres"]) if "genres" in piece.columns else [()] * rows
            except ColumnError as error:
                raise_fault(file.label, piece.first_row, meaning, error)
            for place, title, year, of_item in zip(places.tolist(), titles, years, genres, strict=True):
                item = ids[place]
                text = str(title).strip() if title is not None else ""
                yield Movie(item, text or str(item), year_of(text) if year is None else year, of_item)

    def _check_columns(self, file: DataFile, piece: Piece, needed: Sequence[str]) -> None:
        for meaning in needed:
            if meaning not in piece.columns:
                raise InputError(
                    f"{file.label} has no column for {meaning}: name it by data.columns.{meaning} "
                    f"(known without are {', '.join(USUAL_NAMES[meaning])})",
                    code="D26",
                )


def _years(column: pa.Array) -> list[int | None]:
    years: list[int | None] = []
    for row, value in enumerate(column.to_pylist()):
        if value is None or value == "":
            years.append(None)
            continue
        try:
            year = int(float(value))
        except (TypeError, ValueError):
            year = -1
        if not 0 <= year <= _MAX_YEAR:
            raise ColumnError(row, f"{value!r} is no year up to {_MAX_YEAR}")
        years.append(year)
    return years


def _genres(column: pa.Array) -> list[tuple[str, ...]]:
    found = []
    for row, value in enumerate(column.to_pylist()):
        listed = value if isinstance(value, list) else str(value or "").split("|")
        genres = tuple(genre for genre in (str(part).strip() for part in listed) if genre not in _NO_GENRES)
        if any(len(genre.encode()) > MAX_GENRE_BYTES for genre in genres):
            raise ColumnError(row, f"holds one of more than {MAX_GENRE_BYTES} bytes")
        found.append(genres)
    return found
