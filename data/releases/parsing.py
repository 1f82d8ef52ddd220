"""Read a release's ratings and movies, and refuse what is not one.

Ratings are parsed in blocks by pyarrow and checked on whole arrays. Only when that fails is the file read
again line by line, to say which line is at fault and why.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from data.errors import InputError
from data.features import NO_GENRE
from data.releases.archives import READ_ERRORS, Source, reading
from data.releases.catalogue import Movie
from data.releases.release import Release
from data.timelines.timelines import RATING_DTYPE

MAX_ID = 2**31 - 1
MIN_TIME = 631_152_000
"""1990-01-01; MovieLens opened in 1997, its forerunner's ratings begin in 1995."""
MAX_TIME = 4_102_444_800
"""2100-01-01."""

_BLOCK_BYTES = 8 << 20
_MAX_LINE_BYTES = 1 << 16
_MAX_MOVIES_BYTES = 256 << 20
_MAX_GENRE_BYTES = 127
_BOM = b"\xef\xbb\xbf"
_YEAR = re.compile(r"\(([0-9]{4})\)")
_INTEGER = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?")
_NO_GENRES = frozenset({"", "(no genres listed)", "unknown", NO_GENRE})
# The columns of u.item behind its first five, in the file's order.
_FLAG_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_FLAG_COLUMNS = 5 + len(_FLAG_GENRES)


def read_ratings(source: Source, release: Release) -> Iterator[NDArray[np.void]]:
    """Read a release's ratings in blocks of about 8 MiB of text, in the file's order.

    A byte order mark, either line ending and blank lines are tolerated.

    Parameters
    ----------
    source
        Holds the file.
    release
        Its format, and the stars that may occur.

    Yields
    ------
    NDArray[np.void]
        `RATING_DTYPE[n]`.

    Raises
    ------
    InputError
        The file is damaged, or a line is not a rating of this release: the message gives its number.
    """
    try:
        # Not `yield from`: what the caller's code raises must not be taken for a fault of the file.
        blocks = _parse_blocks(source, release)
        while (block := next(blocks, None)) is not None:
            yield block
    except (pa.ArrowException, *READ_ERRORS) as error:
        with reading(source, release.ratings_file):
            fault = find_fault(source, release)
        reason = fault or f"is not a ratings file ({str(error).splitlines()[0] if str(error) else error!r})"
        raise InputError(f"{source.label}: {release.ratings_file} {reason}") from error


def find_fault(source: Source, release: Release) -> str | None:
    """Read a ratings file line by line, and return what is wrong with its first bad line; None if none is."""
    num_ratings = 0
    for number, line in _lines(source, release.ratings_file):
        text = line.decode("utf-8", errors="replace")
        if len(line) >= _MAX_LINE_BYTES:
            return f"line {number}: is longer than any rating"
        if number == 1 and release.ratings_format.header is not None:
            names = tuple(_cells(text, release))
            if names != release.ratings_format.header:
                expected = release.ratings_format.delimiter.join(release.ratings_format.header)
                return f"line 1: the header is not {expected!r}"
            continue
        if not text:
            continue
        reason = _line_fault(text, release)
        if reason is not None:
            return f"line {number}: {reason}"
        num_ratings += 1
    return None if num_ratings else "holds no ratings"


def find_repeats(source: Source, release: Release, rating: NDArray[np.void]) -> list[int]:
    """Return the numbers of the lines that hold one rating, a `RATING_DTYPE` scalar."""
    wanted = tuple(float(value) for value in rating.item())
    numbers = []
    for number, line in _lines(source, release.ratings_file):
        cells = _named_cells(line.decode("utf-8", errors="replace"), release)
        try:
            found = tuple(float(cells[name]) for name in RATING_DTYPE.names or ())
        except (KeyError, ValueError):
            continue
        if found == wanted:
            numbers.append(number)
    return numbers


def read_movies(source: Source, release: Release) -> list[Movie]:
    """Read a release's list of movies.

    Titles keep their years; the year beside is the first four digits in brackets.

    Parameters
    ----------
    source
        Holds the file.
    release
        Its format.

    Raises
    ------
    InputError
        The file is damaged, or a line is not a movie: the message gives its number.
    """
    name = release.movies_file
    where = f"{source.label}: {name}"
    if source.size(name) > _MAX_MOVIES_BYTES:
        raise InputError(f"{where} is larger than any list of movies")
    with reading(source, name), source.open(name) as file:
        content = file.read().removeprefix(_BOM)
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise InputError(f"{where} line {line}: holds a NUL byte")
    try:
        text = content.decode("utf-8" if release.movies_format == "csv" else "latin-1")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{where} line {line}: is not UTF-8 text") from error
    movies: dict[int, Movie] = {}
    for number, cells in _movie_rows(text, release, where):
        movie = _movie(cells, f"{where} line {number}")
        if movie.id in movies:
            raise InputError(f"{where} line {number}: movie {movie.id} is listed a second time")
        movies[movie.id] = movie
    return list(movies.values())


def _parse_blocks(source: Source, release: Release) -> Iterator[NDArray[np.void]]:
    layout = release.ratings_format
    names = [name or f"empty {place}" for place, name in enumerate(layout.columns)]
    types = {"user": pa.int64(), "movie": pa.int64(), "stars": pa.float64(), "time": pa.int64()}
    num_ratings = 0
    with source.open(release.ratings_file) as file:
        reader = pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(
                column_names=names, block_size=_BLOCK_BYTES, skip_rows=0 if layout.header is None else 1
            ),
            parse_options=pacsv.ParseOptions(delimiter=layout.delimiter, quote_char='"' if layout.header else False),
            convert_options=pacsv.ConvertOptions(
                column_types={name: types.get(name, pa.string()) for name in names}, null_values=[]
            ),
        )
        for batch in reader:
            num_ratings += batch.num_rows
            yield _checked(batch, release)
    if layout.header is not None:
        _check_header(source, release)
    if not num_ratings:
        raise pa.ArrowInvalid("no ratings")


def _check_header(source: Source, release: Release) -> None:
    _, line = next(_lines(source, release.ratings_file))
    if tuple(_cells(line.decode("utf-8", errors="replace"), release)) != release.ratings_format.header:
        raise pa.ArrowInvalid("wrong header")


def _checked(batch: pa.RecordBatch, release: Release) -> NDArray[np.void]:
    """Return a parsed block as ratings, or raise the `ArrowInvalid` that parsing it would have raised."""
    columns = {name: batch.column(place) for place, name in enumerate(batch.schema.names)}
    for name, column in columns.items():
        # Comparing with "" would have Arrow import pandas first.
        if name.startswith("empty") and pc.sum(pc.binary_length(column)).as_py():
            raise pa.ArrowInvalid("text between the delimiters")
    user, movie, stars, time = (_numbers(columns[name]) for name in RATING_DTYPE.names or ())
    step = 0.5 if release.half_stars else 1.0
    is_rating = (
        (user > 0)
        & (user <= MAX_ID)
        & (movie > 0)
        & (movie <= MAX_ID)
        & (stars >= release.min_stars)
        & (stars <= release.max_stars)
        & (np.remainder(stars, step) == 0)
        & (time >= MIN_TIME)
        & (time <= MAX_TIME)
    )
    if not is_rating.all():
        raise pa.ArrowInvalid("values out of range")
    ratings = np.empty(batch.num_rows, dtype=RATING_DTYPE)
    ratings["user"], ratings["movie"], ratings["stars"], ratings["time"] = user, movie, stars, time
    return ratings


def _numbers(column: pa.Array) -> NDArray[Any]:
    """Return a column of numbers, none of them null, as an array; Arrow's `to_numpy` would import pandas (0.5 s)."""
    values = np.frombuffer(column.buffers()[1] or b"", dtype=np.dtype(str(column.type)))
    return values[column.offset : column.offset + len(column)]


def _lines(source: Source, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield a file's lines with their numbers from 1; no line is read beyond `_MAX_LINE_BYTES`."""
    with source.open(name) as file:
        for number, line in enumerate(_limited_lines(file), 1):
            yield number, (line.removeprefix(_BOM) if number == 1 else line).rstrip(b"\r\n")


def _limited_lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_MAX_LINE_BYTES):
        yield line


def _cells(text: str, release: Release) -> list[str]:
    delimiter = release.ratings_format.delimiter
    if release.ratings_format.header is not None and '"' in text:
        try:
            return next(csv.reader([text], delimiter=delimiter), [])
        except csv.Error:
            return [text]
    return text.split(delimiter)


def _named_cells(text: str, release: Release) -> dict[str, str]:
    return dict(zip(release.ratings_format.columns, _cells(text, release), strict=False))


def _line_fault(text: str, release: Release) -> str | None:
    """Return why a line is not a rating; None if it is one."""
    if "\0" in text:
        return "holds a NUL byte"
    cells = _cells(text, release)
    columns = release.ratings_format.columns
    if len(cells) != len(columns):
        shape = release.ratings_format.delimiter.join(columns)
        return f"{_quoted(text)} is not of the form {shape!r}"
    values = _named_cells(text, release)
    if any(cell for name, cell in zip(columns, cells, strict=True) if not name):
        return f"{_quoted(text)} holds text between its delimiters"
    for name, meaning in (("user", "a user's id"), ("movie", "a movie's id")):
        cell = values[name].strip()
        if not _INTEGER.fullmatch(cell) or not 0 < int(cell) <= MAX_ID:
            return f"{_quoted(cell)} is not {meaning}, a number from 1 to {MAX_ID}"
    stars = values["stars"].strip()
    step = 0.5 if release.half_stars else 1.0
    if not _DECIMAL.fullmatch(stars):
        return f"{_quoted(stars)} is not a number of stars"
    if not release.min_stars <= float(stars) <= release.max_stars or float(stars) % step:
        grid = "half" if release.half_stars else "whole"
        return (
            f"{_quoted(stars)} is not a rating of this release, "
            f"{grid} stars from {release.min_stars:g} to {release.max_stars:g}"
        )
    time = values["time"].strip()
    if not _INTEGER.fullmatch(time) or not MIN_TIME <= int(time) <= MAX_TIME:
        return f"{_quoted(time)} is not a time from 1990 to 2100 in seconds since 1970"
    return None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _movie_rows(text: str, release: Release, where: str) -> Iterable[tuple[int, tuple[str, str, list[str]]]]:
    """Yield each movie's line number, id, title and genres, as text."""
    if release.movies_format == "csv":
        return _csv_movie_rows(text, where)
    if release.movies_format == "dat":
        return _dat_movie_rows(text, where)
    return _flag_movie_rows(text, where)


def _csv_movie_rows(text: str, where: str) -> Iterator[tuple[int, tuple[str, str, list[str]]]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for place, cells in enumerate(reader):
            if place == 0:
                if cells != ["movieId", "title", "genres"]:
                    raise InputError(f"{where} line 1: the header is not 'movieId,title,genres'")
                continue
            if not cells:
                continue
            if len(cells) != 3:
                raise InputError(f"{where} line {reader.line_num}: has {len(cells)} columns instead of 3")
            yield reader.line_num, (cells[0], cells[1], cells[2].split("|"))
    except csv.Error as error:
        raise InputError(f"{where} line {reader.line_num}: {error}") from error


def _dat_movie_rows(text: str, where: str) -> Iterator[tuple[int, tuple[str, str, list[str]]]]:
    for number, line in _text_lines(text):
        movie_id, first, rest = line.partition("::")
        title, second, genres = rest.rpartition("::")
        if not (first and second):
            raise InputError(f"{where} line {number}: {_quoted(line)} is not of the form 'id::title::genres'")
        yield number, (movie_id, title, genres.split("|"))


def _flag_movie_rows(text: str, where: str) -> Iterator[tuple[int, tuple[str, str, list[str]]]]:
    for number, line in _text_lines(text):
        cells = line.split("|")
        if len(cells) != _FLAG_COLUMNS:
            raise InputError(f"{where} line {number}: has {len(cells)} columns instead of {_FLAG_COLUMNS}")
        flags = cells[5:]
        if not set(flags) <= {"0", "1"}:
            raise InputError(f"{where} line {number}: a genre is marked with other than 0 or 1")
        genres = [genre for genre, flag in zip(_FLAG_GENRES, flags, strict=True) if flag == "1"]
        yield number, (cells[0], cells[1], genres)


def _text_lines(text: str) -> Iterator[tuple[int, str]]:
    # Not `splitlines`, which also splits at characters that latin-1 titles may hold.
    for number, line in enumerate(text.split("\n"), 1):
        if stripped := line.rstrip("\r"):
            yield number, stripped


def _movie(cells: tuple[str, str, list[str]], where: str) -> Movie:
    movie_id, title, genres = cells[0].strip(), cells[1].strip(), tuple(genre.strip() for genre in cells[2])
    if not _INTEGER.fullmatch(movie_id) or not 0 < int(movie_id) <= MAX_ID:
        raise InputError(f"{where}: {_quoted(movie_id)} is not a movie's id, a number from 1 to {MAX_ID}")
    if not title:
        raise InputError(f"{where}: movie {movie_id} has no title")
    if any(len(genre.encode()) > _MAX_GENRE_BYTES for genre in genres):
        raise InputError(f"{where}: a genre of movie {movie_id} is longer than {_MAX_GENRE_BYTES} bytes")
    year = _YEAR.search(title)
    listed = tuple(genre for genre in genres if genre not in _NO_GENRES)
    return Movie(int(movie_id), title, int(year.group(1)) if year else 0, listed)
