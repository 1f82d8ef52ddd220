"""Lists of movies in the encodings, line ends and quotes that people's files have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from data_helpers import CSV_MOVIES
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.releases.archives import FolderSource
from data.releases.movies_list import read_movies
from data.releases.release import find_release

FLAGS = "0|0|0|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0"
RELEASES = ["ml-1m", "ml-100k", "ml-latest-small"]
TITLES = ["Les Misérables (1995)", "Amélie (2001)", "Heat (1995)"]


def _lines(name: str, titles: list[str]) -> list[str]:
    if name == "ml-1m":
        return [f"{number}::{title}::Drama" for number, title in enumerate(titles, 1)]
    if name == "ml-100k":
        return [f"{number}|{title}|||x|{FLAGS}" for number, title in enumerate(titles, 1)]
    return [CSV_MOVIES.strip(), *(f'{number},"{title}",Drama' for number, title in enumerate(titles, 1))]


def _read(folder: Path, name: str, content: bytes) -> list[tuple[int, str, int, tuple[str, ...]]]:
    release = find_release(name)
    (folder / release.ratings_file).touch()
    (folder / release.movies_file).write_bytes(content)
    movies = read_movies(FolderSource(folder, release.files), release)
    return [(movie.id, movie.title, movie.year, movie.genres) for movie in movies]


def _fault(folder: Path, name: str, content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        _read(folder, name, content)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value).partition(f"{find_release(name).movies_file} ")[2]


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"\xef\xbb\xbf"])
def test_a_list_without_movies_is_refused(tmp_path: Path, name: str, content: bytes):
    assert _fault(tmp_path, name, content) == "holds no movies; fetch it again"


def test_a_list_of_the_header_alone_is_refused(tmp_path: Path):
    assert _fault(tmp_path, "ml-latest-small", CSV_MOVIES.encode()) == "holds no movies; fetch it again"


def test_a_header_that_is_another_is_shown(tmp_path: Path):
    fault = _fault(tmp_path, "ml-latest-small", b"movieId;title;genres\n1;Heat (1995);Drama\n")
    assert fault == "line 1: the header is 'movieId;title;genres', not 'movieId,title,genres'"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", RELEASES)
def test_lines_end_in_any_way_and_count_alike(tmp_path: Path, name: str, end: str):
    lines = _lines(name, TITLES)
    movies = _read(tmp_path, name, (end.join(lines) + end).encode())
    assert [movie[1:] for movie in movies] == [
        ("Les Misérables (1995)", 1995, ("Drama",)),
        ("Amélie (2001)", 2001, ("Drama",)),
        ("Heat (1995)", 1995, ("Drama",)),
    ]
    broken = end.join([*lines, "", "what is no movie"]).encode()
    assert _fault(tmp_path, name, broken).startswith(f"line {len(lines) + 2}: ")


def test_a_quote_that_is_never_closed_is_named_by_its_own_line(tmp_path: Path):
    text = f'{CSV_MOVIES}1,"Heat (1995),Action\n2,Jumanji (1995),Adventure\n3,"Ronin (1998)",Drama\n'
    fault = _fault(tmp_path, "ml-latest-small", text.encode())
    assert fault == "line 2: a quote that is opened there is not closed on that line"


def test_a_closing_quote_amid_a_title_is_refused(tmp_path: Path):
    fault = _fault(tmp_path, "ml-latest-small", f'{CSV_MOVIES}1,"Heat" (1995),Action\n'.encode())
    assert fault == "line 2: a closing quote is followed by something other than a comma"


@pytest.mark.parametrize("name", ["ml-1m", "ml-100k"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_the_encoding_is_told_by_the_bytes(tmp_path: Path, name: str, encoding: str):
    content = "\n".join(_lines(name, TITLES)).encode(encoding)
    assert [movie[1] for movie in _read(tmp_path, name, content)] == TITLES


@pytest.mark.parametrize("name", ["ml-1m", "ml-100k"])
def test_one_accidental_sequence_does_not_make_latin_1_into_utf_8(tmp_path: Path, name: str):
    titles = ["Â¡Atame! (1990)", "Amélie (2001)", "Café (1999)"]
    assert _is_utf8("Â¡") and not _is_utf8("é (")
    content = "\n".join(_lines(name, titles)).encode("latin-1")
    assert [movie[1] for movie in _read(tmp_path, name, content)] == titles


def _is_utf8(text: str) -> bool:
    try:
        text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("name", ["ml-1m", "ml-100k"])
def test_one_broken_sequence_does_not_make_utf_8_into_latin_1(tmp_path: Path, name: str):
    lines = [line.encode() for line in _lines(name, TITLES)]
    lines[2] = lines[2].replace(b"Heat", b"H\xe9at")
    fault = _fault(tmp_path, name, b"\n".join(lines))
    assert fault == "line 3: is not UTF-8 text, but line 1 is; save the file in one encoding, UTF-8"


def test_a_csv_list_in_latin_1_is_refused_with_its_line(tmp_path: Path):
    content = "\n".join(_lines("ml-latest-small", TITLES)).encode("latin-1")
    assert _fault(tmp_path, "ml-latest-small", content) == "line 2: is not UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_text_of_wide_characters_is_called_so(tmp_path: Path, name: str, encoding: str):
    content = "\n".join(_lines(name, TITLES)).encode(encoding)
    assert _fault(tmp_path, name, content) == f"is {encoding.upper()} text; save it as UTF-8"


_PIECES = st.sampled_from(
    [
        b"1",
        b"2",
        b"07",
        b"0",
        b"x",
        b"Heat (1995)",
        b"Am\xc3\xa9lie",
        b"Caf\xe9",
        b"\xc2\xa1",
        b"Drama",
        b"A|B",
        b'"',
        b'""',
        b",",
        b",",
        b"::",
        b"::",
        b"|",
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b" ",
        b"\x85",
        b"\x0b",
        b"\xe2\x80\xa8",
        b"\x00",
    ]
)
_ROWS = st.sampled_from(
    [b"1,Heat (1995),Drama\n", b'2,"A, ""B""",\r', b"1::Heat (1995)::A|B\n", b"2::Caf\xe9::\r\n", b"3::Am\xc3\xa9::A\r"]
)


@given(pieces=st.lists(st.one_of(_PIECES, _ROWS, st.binary(max_size=3)), max_size=12), name=st.sampled_from(RELEASES))
def test_any_bytes_as_a_list_give_the_titles_of_a_plain_strict_reader_or_are_refused(
    tmp_path: Path, pieces: list[bytes], name: str
):
    content = (CSV_MOVIES.encode() if name == "ml-latest-small" else b"") + b"".join(pieces)
    expected = _plain_movies(content, name)
    try:
        movies = _read(tmp_path, name, content)
    except InputError as error:
        assert expected is None
        assert len(str(error).splitlines()) == 1
    else:
        assert {movie[0]: movie[1:] for movie in movies} == expected


def _plain_movies(content: bytes, name: str) -> dict[int, tuple[str, int, tuple[str, ...]]] | None:
    """Read a list by the documented rules; None where it is refused."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or b"\0" in content:
        return None
    has_mark = content.startswith(b"\xef\xbb\xbf")
    lines = re.split(rb"\r\n|\r|\n", content.removeprefix(b"\xef\xbb\xbf"))
    beyond_ascii = [line for line in lines if not line.isascii()]
    as_utf8 = [line for line in beyond_ascii if line.decode("utf-8", "replace").encode() == line]
    encoding = "utf-8"
    if len(as_utf8) < len(beyond_ascii):
        if (
            has_mark
            or name == "ml-latest-small"
            or len(as_utf8) > 1
            or len(beyond_ascii) - len(as_utf8) == len(as_utf8)
        ):
            return None
        encoding = "latin-1"
    movies: dict[int, tuple[str, int, tuple[str, ...]]] = {}
    texts = [line.decode(encoding) for line in lines]
    if name == "ml-latest-small":
        texts = texts[1:]
    for text in filter(None, texts):
        cells = _plain_cells(text, name)
        if cells is None:
            return None
        movie, title, genres = (cell.strip() for cell in cells)
        listed = tuple(genre.strip() for genre in genres.split("|"))
        number = int(movie) if re.fullmatch("[0-9]+", movie) else 0
        if (
            not 0 < number < 2**31
            or number in movies
            or not title
            or any(len(genre.encode()) > 127 for genre in listed)
        ):
            return None
        year = re.search(r"\(([0-9]{4})\)", title)
        kept = tuple(genre for genre in listed if genre not in ("", "unknown", "(no genres listed)", "UNK"))
        movies[number] = (title, int(year[1]) if year else 0, kept)
    return movies or None


def _plain_cells(text: str, name: str) -> list[str] | None:
    if name == "ml-1m":
        parts = text.split("::")
        return [parts[0], "::".join(parts[1:-1]), parts[-1]] if len(parts) >= 3 else None
    if name == "ml-100k":
        return None
    cell = r'"(?:[^"]|"")*"|(?!")[^,]*'
    match = re.fullmatch(f"({cell}),({cell}),({cell})", text, re.DOTALL)
    return match and [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in match.groups()]
