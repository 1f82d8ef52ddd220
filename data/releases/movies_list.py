"""Read a release's list of movies, line by line, and refuse what is none.

No title or genre of any release holds a line break, so that each line stands for itself: what is wrong with it can't
reach into the lines after it.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Sequence

from data.errors import InputError
from data.features import NO_GENRE
from data.movie_ids import MovieId
from data.releases.archives import Source, reading
from data.releases.catalogue import Movie
from data.releases.lines import check_mark
from data.releases.parsing import MAX_ID, is_id, quoted
from data.releases.release import Release

_MAX_BYTES = 256 << 20
MAX_GENRE_BYTES = 127
"""Bytes of the longest genre."""

_HEADER = ["movieId", "title", "genres"]
_YEAR = re.compile(r"\(([0-9]{4})\)")
_NO_GENRES = frozenset({"", "(no genres listed)", "unknown", NO_GENRE})
# The columns of u.item behind its first five, in the file's order.
_FLAG_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_FLAG_COLUMNS = 5 + len(_FLAG_GENRES)

Cells = tuple[str, str, Sequence[str]]
"""A movie's id, title and genres, as text."""


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
        The file is damaged or lists no movie, or a line is not a movie: the message gives its number.
    """
    name = release.movies_file
    where = f"{source.label}: {name}"
    if source.size(name) > _MAX_BYTES:
        raise InputError(f"{where} is larger than any list of movies", code="D13")
    with reading(source, name), source.open(name) as file:
        content = file.read()
    try:
        return _parse(content, release)
    except InputError as error:
        raise InputError(f"{where} {error}", code=error.code) from error


def _parse(content: bytes, release: Release) -> list[Movie]:
    lines = _decode(content, may_be_latin_1=release.movies_format != "csv")
    first = 0
    if release.movies_format == "csv" and any(lines):
        _check_header(lines[0])
        first = 1
    split = _SPLITTERS[release.movies_format]
    movies: dict[MovieId, Movie] = {}
    for number, line in enumerate(lines[first:], first + 1):
        if not line:
            continue
        try:
            movie = _movie(split(line))
        except InputError as error:
            raise InputError(f"line {number}: {error}", code=error.code) from error
        if movie.id in movies:
            raise InputError(f"line {number}: movie {movie.id} is listed a second time", code="D22")
        movies[movie.id] = movie
    if not movies:
        raise InputError("holds no movies; fetch it again", code="D15")
    return list(movies.values())


def _decode(content: bytes, *, may_be_latin_1: bool) -> list[str]:
    """Return the lines of text whose encoding only its bytes tell.

    GroupLens wrote `movies.dat` in latin-1 for MovieLens-1M and in UTF-8 for MovieLens-10M. Latin-1 titles are hardly
    ever valid UTF-8: a file that is valid as a whole is UTF-8, and one none of whose lines beyond ASCII is valid is
    latin-1. Where both kinds stand, one line that is valid is an accident, and more mean that the file is mixed.
    """
    check_mark(content)
    has_mark = content.startswith(codecs.BOM_UTF8)
    lines = content.removeprefix(codecs.BOM_UTF8).splitlines()
    valid: list[int] = []
    invalid: list[int] = []
    for number, line in enumerate(lines, 1):
        if b"\0" in line:
            raise InputError(f"line {number}: holds a NUL byte", code="D12")
        if not line.isascii():
            (valid if _is_utf8(line) else invalid).append(number)
    if not invalid:
        return [line.decode("utf-8") for line in lines]
    if has_mark or not may_be_latin_1:
        raise InputError(f"line {invalid[0]}: is not UTF-8 text; save the file as UTF-8", code="D11")
    if valid and (len(valid) > 1 or len(invalid) == 1):
        raise InputError(
            f"line {invalid[0]}: is not UTF-8 text, but line {valid[0]} is; save the file in one encoding, UTF-8",
            code="D11",
        )
    return [line.decode("latin-1") for line in lines]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _check_header(line: str) -> None:
    if _csv_cells(line) != _HEADER:
        raise InputError(f"line 1: the header is {quoted(line)}, not {','.join(_HEADER)!r}", code="D14")


def _csv_cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise InputError("a quote that is opened there is not closed on that line", code="D20") from error
        if "expected after" in str(error):
            raise InputError("a closing quote is followed by something other than a comma", code="D20") from error
        raise InputError(f"is not CSV: {error}", code="D20") from error


def _split_csv(line: str) -> Cells:
    cells = _csv_cells(line)
    if len(cells) != len(_HEADER):
        raise InputError(f"has {len(cells)} columns instead of {len(_HEADER)}", code="D16")
    return cells[0], cells[1], cells[2].split("|")


def _split_dat(line: str) -> Cells:
    movie_id, first, rest = line.partition("::")
    title, second, genres = rest.rpartition("::")
    if not (first and second):
        raise InputError(f"{quoted(line)} is not of the form 'id::title::genres'", code="D16")
    return movie_id, title, genres.split("|")


def _split_flags(line: str) -> Cells:
    cells = line.split("|")
    if len(cells) != _FLAG_COLUMNS:
        raise InputError(f"has {len(cells)} columns instead of {_FLAG_COLUMNS}", code="D16")
    flags = cells[5:]
    if not set(flags) <= {"0", "1"}:
        raise InputError("a genre is marked with other than 0 or 1", code="D21")
    return cells[0], cells[1], [genre for genre, flag in zip(_FLAG_GENRES, flags, strict=True) if flag == "1"]


_SPLITTERS: dict[str, Callable[[str], Cells]] = {"csv": _split_csv, "dat": _split_dat, "u.item": _split_flags}


def _movie(cells: Cells) -> Movie:
    movie_id, title, genres = cells[0].strip(), cells[1].strip(), tuple(genre.strip() for genre in cells[2])
    if not is_id(movie_id):
        raise InputError(f"{quoted(movie_id)} is not a movie's id, a number from 1 to {MAX_ID}", code="D17")
    if not title:
        raise InputError(f"movie {movie_id} has no title", code="D21")
    if any(len(genre.encode()) > MAX_GENRE_BYTES for genre in genres):
        raise InputError(f"a genre of movie {movie_id} is longer than {MAX_GENRE_BYTES} bytes", code="D21")
    listed = tuple(genre for genre in genres if genre not in _NO_GENRES)
    return Movie(int(movie_id[-18:]), title, year_of(title), listed)


def year_of(title: str) -> int:
    """Return the year in a title, the first four digits in brackets; 0 if there is none."""
    year = _YEAR.search(title)
    return int(year.group(1)) if year else 0
