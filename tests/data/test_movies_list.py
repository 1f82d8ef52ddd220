"""Lists of movies as people have them: read as they were meant, or refused with the line at which the fault begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.releases.archives import open_source
from data.releases.catalogue import Movie
from data.releases.movies_list import read_movies
from data.releases.parsing import find_fault, read_ratings
from data.releases.release import find_release

HEADER = b"movieId,title,genres\n"


def movies_of(folder: Path, release_name: str, content: bytes) -> list[Movie]:
    release = find_release(release_name)
    for name in release.files:
        (folder / name).write_bytes(content if name == release.movies_file else b"")
    return read_movies(open_source(folder, release.files), release)


@pytest.mark.parametrize("content", [HEADER, b"", HEADER + b"\n\n"])
def test_a_list_without_a_movie_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(InputError, match="holds no movies"):
        movies_of(tmp_path, "ml-latest-small", content)


def test_a_quote_that_is_never_closed_swallows_no_lines_and_is_named_where_it_begins(tmp_path: Path):
    content = HEADER + b'1,Heat (1995),Action\n2,"Sabrina (1995),Comedy\n3,"Casino, The (1995)",Drama\n'
    with pytest.raises(InputError, match=r"line 3: a quote that is opened there is not closed on that line"):
        movies_of(tmp_path, "ml-latest-small", content)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_way(tmp_path: Path, end: bytes):
    content = end.join([b"movieId,title,genres", b'1,"Heat, The (1995)",Action|War', b"2,Sabrina (1996),Comedy", b""])
    assert movies_of(tmp_path, "ml-latest-small", content) == [
        Movie(1, "Heat, The (1995)", 1995, ("Action", "War")),
        Movie(2, "Sabrina (1996)", 1996, ("Comedy",)),
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_the_bytes_tell_the_encoding_of_a_list_that_may_be_in_either(tmp_path: Path, encoding: str):
    titles = ["Amélie (2001)", "Señorita (1999)", "Plain (1990)"]
    text = "".join(f"{number}::{title}::Drama\n" for number, title in enumerate(titles, 1))
    assert [movie.title for movie in movies_of(tmp_path, "ml-1m", text.encode(encoding))] == titles


def test_one_accidental_sequence_decides_nothing(tmp_path: Path):
    # In latin-1 the second title's two letters are, by accident, one letter of UTF-8.
    titles = ["Amélie (2001)", "Ã© (1990)", "Señorita (1999)"]
    text = "".join(f"{number}::{title}::Drama\n" for number, title in enumerate(titles, 1))
    assert [movie.title for movie in movies_of(tmp_path, "ml-1m", text.encode("latin-1"))] == titles


def test_a_list_in_two_encodings_is_refused_with_a_line_of_each(tmp_path: Path):
    lines = [b"1::\xc3\xa9t\xc3\xa9 (1990)::Drama", b"2::caf\xc3\xa9 (1990)::Drama", b"3::caf\xe9 (1991)::Drama"]
    with pytest.raises(InputError, match=r"line 3: is not UTF-8 text, but line 1 is"):
        movies_of(tmp_path, "ml-1m", b"\n".join(lines))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_text_of_another_width_is_named(tmp_path: Path, encoding: str):
    content = "movieId,title,genres\n1,Heat (1995),Action\n".encode(encoding)
    with pytest.raises(InputError, match=f"is {encoding.upper()} text; save it as UTF-8"):
        movies_of(tmp_path, "ml-latest-small", content)


def test_a_wrong_header_is_shown(tmp_path: Path):
    with pytest.raises(InputError, match=r"line 1: the header is 'id,name', not 'movieId,title,genres'"):
        movies_of(tmp_path, "ml-latest-small", b"id,name\n1,Heat\n")


@given(
    st.lists(st.sampled_from([b"1", b"0x10", b"16", b" ", b"\t", b"\r", b"\n", b"::", b".", b"5", b"978300760", b'"']))
)
def test_the_two_readers_of_ratings_agree_on_what_is_one(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]):
    folder = tmp_path_factory.mktemp("ratings")
    release = find_release("ml-1m")
    content = b"1::2::5::978300760\n" + b"".join(parts)
    for name in release.files:
        (folder / name).write_bytes(content if name == release.ratings_file else b"")
    source = open_source(folder, release.files)
    fault = find_fault(source, release)
    try:
        list(read_ratings(source, release))
    except InputError as error:
        assert fault is not None, error
        assert fault in str(error)
    else:
        assert fault is None
