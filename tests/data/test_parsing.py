"""Ratings and movies files, good, odd and broken."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from data_helpers import CSV_MOVIES, CSV_RATINGS
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.releases import lines
from data.releases.archives import FolderSource
from data.releases.movies_list import read_movies
from data.releases.parsing import find_fault, find_repeats, read_ratings
from data.releases.release import Release, find_release
from data.timelines.timelines import RATING_DTYPE

FLAGS_ANIMATION_COMEDY = "0|0|0|1|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0"


def _source(folder: Path, release: Release, ratings: bytes, movies: bytes = b"") -> FolderSource:
    (folder / release.ratings_file).write_bytes(ratings)
    (folder / release.movies_file).write_bytes(movies)
    return FolderSource(folder, release.files)


def _ratings(folder: Path, name: str, content: bytes) -> list[tuple]:
    release = find_release(name)
    blocks = list(read_ratings(_source(folder, release, content), release))
    return np.concatenate(blocks).tolist()


def _movies(folder: Path, name: str, content: bytes) -> list[tuple]:
    release = find_release(name)
    return [
        (movie.id, movie.title, movie.year, movie.genres)
        for movie in read_movies(_source(folder, release, b"", content), release)
    ]


@pytest.mark.parametrize(
    ("release", "content"),
    [
        ("ml-1m", b"1::1193::5::978300760\n2::661::3::978302109\n"),
        ("ml-100k", b"1\t1193\t5\t978300760\n2\t661\t3\t978302109\n"),
        ("ml-10m", b"1::1193::5::978300760\n2::661::3::978302109\n"),
        *(
            (name, f"{CSV_RATINGS}1,1193,5.0,978300760\n2,661,3.0,978302109\n".encode())
            for name in ("ml-20m", "ml-25m", "ml-32m", "ml-latest", "ml-latest-small")
        ),
        ("ml-latest-small", f'{CSV_RATINGS}"1","1193","5.0","978300760"\n2,661,3,978302109'.encode()),
    ],
)
def test_every_format_of_ratings_is_read(tmp_path: Path, release: str, content: bytes):
    expected = [(1, 1193, 5.0, 978300760), (2, 661, 3.0, 978302109)]
    assert _ratings(tmp_path, release, content) == expected
    assert _ratings(tmp_path, release, content.replace(b"\n", b"\r\n")) == expected
    assert _ratings(tmp_path, release, b"\xef\xbb\xbf" + content) == expected
    assert _ratings(tmp_path, release, content + b"\n\n") == expected


@pytest.mark.parametrize(
    ("release", "content"),
    [
        ("ml-10m", "1::2::0.5::978300760\n1::3::4.5::978300760\n"),
        *(
            (name, f"{CSV_RATINGS}1,2,0.5,978300760\n1,3,4.5,978300760\n")
            for name in ("ml-20m", "ml-25m", "ml-32m", "ml-latest", "ml-latest-small")
        ),
    ],
)
def test_half_stars_are_read(tmp_path: Path, release: str, content: str):
    assert [row[2] for row in _ratings(tmp_path, release, content.encode())] == [0.5, 4.5]


def test_ratings_are_the_same_whatever_the_block_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = "".join(f"{1 + row % 9}::{1 + row}::{1 + row % 5}::{10**9 + row}\n" for row in range(500)).encode()
    whole = _ratings(tmp_path, "ml-1m", content)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 200)
    assert _ratings(tmp_path, "ml-1m", content) == whole
    assert len(whole) == 500


@pytest.mark.parametrize(
    ("release", "line", "reason"),
    [
        ("ml-latest-small", "1,2,abc,978300760", "'abc' is not a number of stars"),
        ("ml-latest-small", "1,2,5.5,978300760", "half stars from 0.5 to 5"),
        ("ml-latest-small", "1,2,0,978300760", "half stars from 0.5 to 5"),
        ("ml-latest-small", "1,2,3.25,978300760", "half stars from 0.5 to 5"),
        ("ml-latest-small", "1,2,nan,978300760", "'nan' is not a number of stars"),
        ("ml-latest-small", "1,2,,978300760", "'' is not a number of stars"),
        ("ml-latest-small", "0,2,3,978300760", "'0' is not a user's id"),
        ("ml-latest-small", "x,2,3,978300760", "'x' is not a user's id"),
        ("ml-latest-small", "1,-2,3,978300760", "'-2' is not a movie's id"),
        ("ml-latest-small", "1,2147483648,3,978300760", "is not a movie's id"),
        ("ml-latest-small", "1,99999999999999999999,3,978300760", "is not a movie's id"),
        ("ml-latest-small", "1,2,3,12", "'12' is not a time from 1990 to 2100"),
        ("ml-latest-small", "1,2,3,99999999999", "is not a time from 1990 to 2100"),
        ("ml-latest-small", "1,2,3", "is not of the form 'user,movie,stars,time'"),
        ("ml-latest-small", "1,2,3,978300760,9", "is not of the form"),
        ("ml-latest-small", "1,2\0,3,978300760", "holds a NUL byte"),
        ("ml-1m", "1::2::3.5::978300760", "whole stars from 1 to 5"),
        ("ml-1m", "1:x:2::3::978300760", "text between its delimiters"),
        ("ml-1m", "1::2::3", "is not of the form"),
        ("ml-1m", "1,2,3,978300760", "is not of the form"),
        ("ml-100k", "1\t2\t6\t978300760", "whole stars from 1 to 5"),
        ("ml-100k", "1 2 3 978300760", "is not of the form"),
        ("ml-latest-small", "0x10,2,3,978300760", "'0x10' is not a user's id"),
        ("ml-latest-small", "1,2,4e0,978300760", "'4e0' is not a number of stars"),
        ("ml-latest-small", '1,2,"3,978300760', "is not a number of stars"),
    ],
)
def test_a_bad_rating_is_refused_with_its_line_and_reason(tmp_path: Path, release: str, line: str, reason: str):
    good = {"ml-latest-small": "7,8,4.0,978300760", "ml-1m": "7::8::4::978300760", "ml-100k": "7\t8\t4\t978300760"}
    head = [CSV_RATINGS.strip()] if release == "ml-latest-small" else []
    content = "\n".join([*head, good[release], "", line, good[release], ""])
    with pytest.raises(InputError) as caught:
        _ratings(tmp_path, release, content.encode())
    message = str(caught.value)
    assert f"line {len(head) + 3}: " in message
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"\n\n", CSV_RATINGS.encode(), b"\xef\xbb\xbf"])
def test_a_file_without_ratings_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(InputError, match=r"ratings\.csv (holds no ratings|line 1: the header)"):
        _ratings(tmp_path, "ml-latest-small", content)


def test_a_wrong_header_is_refused(tmp_path: Path):
    header = r"'movieId,userId,rating,timestamp', not 'userId,movieId,rating,timestamp'"
    with pytest.raises(InputError, match=f"line 1: the header is {header}"):
        _ratings(tmp_path, "ml-latest-small", b"movieId,userId,rating,timestamp\n1,2,3.0,978300760\n")


@given(content=st.binary(max_size=300), release=st.sampled_from(["ml-1m", "ml-100k", "ml-latest-small"]))
def test_any_bytes_as_ratings_give_ratings_or_the_projects_own_error(tmp_path: Path, content: bytes, release: str):
    _expect_rows_or_input_error(lambda: _ratings(tmp_path, release, content))


@given(
    cells=st.lists(
        st.lists(
            st.sampled_from(
                ["", "1", "0", "-1", "5", "0.5", "3.75", "978300760", "1e9", "nan", '"', "\r", "ä", "\0", "::"]
            ),
            max_size=6,
        ),
        max_size=5,
    ),
    release=st.sampled_from(["ml-1m", "ml-100k", "ml-latest-small"]),
)
def test_nearly_right_ratings_give_ratings_or_the_projects_own_error(
    tmp_path: Path, cells: list[list[str]], release: str
):
    delimiter = {"ml-1m": "::", "ml-100k": "\t", "ml-latest-small": ","}[release]
    text = "".join(f"{delimiter.join(row)}\n" for row in cells)
    content = (CSV_RATINGS if release == "ml-latest-small" else "") + text
    _expect_rows_or_input_error(lambda: _ratings(tmp_path, release, content.encode()))


@given(content=st.binary(max_size=300), release=st.sampled_from(["ml-1m", "ml-100k", "ml-latest-small"]))
def test_any_bytes_as_movies_give_movies_or_the_projects_own_error(tmp_path: Path, content: bytes, release: str):
    prefix = CSV_MOVIES.encode() if release == "ml-latest-small" else b""
    _expect_rows_or_input_error(lambda: _movies(tmp_path, release, content))
    _expect_rows_or_input_error(lambda: _movies(tmp_path, release, prefix + content))


def _expect_rows_or_input_error(read) -> None:
    try:
        read()
    except InputError as error:
        assert len(str(error).splitlines()) == 1


def test_every_format_of_movies_is_read(tmp_path: Path):
    expected = [(1, "Toy Story (1995)", 1995, ("Animation", "Comedy")), (7, "Amélie", 0, ())]
    csv_text = f"{CSV_MOVIES}1,Toy Story (1995),Animation|Comedy\n7,Amélie,(no genres listed)\n"
    assert _movies(tmp_path, "ml-latest-small", csv_text.encode()) == expected
    assert _movies(tmp_path, "ml-latest-small", b"\xef\xbb\xbf" + csv_text.replace("\n", "\r\n").encode()) == expected
    dat_text = "1::Toy Story (1995)::Animation|Comedy\n7::Amélie::\n"
    assert _movies(tmp_path, "ml-1m", dat_text.encode("latin-1")) == expected
    item_text = f"1|Toy Story (1995)|01-Jan-1995||http://x|{FLAGS_ANIMATION_COMEDY}\n7|Amélie||||1{'|0' * 18}\n"
    assert _movies(tmp_path, "ml-100k", item_text.encode("latin-1")) == expected


def test_titles_keep_commas_quotes_and_the_first_year_counts(tmp_path: Path):
    text = f'{CSV_MOVIES}1,"Odd, ""The"" (1951) (1999)",Drama\n2,Short (199) Long (19999),Drama\n'
    movies = _movies(tmp_path, "ml-latest-small", text.encode())
    assert movies[0][1:3] == ('Odd, "The" (1951) (1999)', 1951)
    assert movies[1][2] == 0


@pytest.mark.parametrize(
    ("release", "content", "reason"),
    [
        ("ml-latest-small", b"id,title,genres\n1,A,Drama\n", "line 1: the header"),
        ("ml-latest-small", CSV_MOVIES.encode() + b"1,A\n", "line 2: has 2 columns instead of 3"),
        ("ml-latest-small", CSV_MOVIES.encode() + b"1,A,Drama\n1,B,Drama\n", "line 3: movie 1 is listed a second"),
        ("ml-latest-small", CSV_MOVIES.encode() + b"x,A,Drama\n", "line 2: 'x' is not a movie's id"),
        ("ml-latest-small", CSV_MOVIES.encode() + b"1,,Drama\n", "line 2: movie 1 has no title"),
        ("ml-latest-small", CSV_MOVIES.encode() + b"1,A\xff,Drama\n", "line 2: is not UTF-8"),
        ("ml-latest-small", CSV_MOVIES.encode() + b"1,A,Dra\0ma\n", "line 2: holds a NUL byte"),
        ("ml-latest-small", CSV_MOVIES.encode() + b"1,A," + b"x" * 128, "longer than 127 bytes"),
        ("ml-1m", b"1::A::Drama\n2:A:Drama\n", "line 2: '2:A:Drama' is not of the form"),
        ("ml-100k", b"1|A|x\n", "line 1: has 3 columns instead of 24"),
        ("ml-100k", f"1|A||||7{'|0' * 18}\n".encode(), "line 1: a genre is marked with other than 0 or 1"),
    ],
)
def test_a_bad_movie_is_refused_with_its_line_and_reason(tmp_path: Path, release: str, content: bytes, reason: str):
    with pytest.raises(InputError, match=reason):
        _movies(tmp_path, release, content)


@pytest.mark.parametrize("release", ["ml-1m", "ml-100k", "ml-latest-small"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_repeated_rating_is_found_by_the_lines_that_were_parsed(tmp_path: Path, release: str, end: str):
    delimiter = {"ml-1m": "::", "ml-100k": "\t", "ml-latest-small": ","}[release]
    head = [CSV_RATINGS.strip()] if release == "ml-latest-small" else []
    rows = [delimiter.join(row) for row in (("1", "2", "3", "978300760"), ("1", "3", "3", "978300760"))]
    content = end.join([*head, *rows, "", rows[0], ""]).encode()
    rating = np.array([(1, 2, 3.0, 978300760)], dtype=RATING_DTYPE)[0]
    layout = find_release(release)

    assert len(_ratings(tmp_path, release, content)) == 3
    assert find_repeats(_source(tmp_path, layout, content), layout, rating) == [len(head) + 1, len(head) + 4]


def _plain_ratings(content: bytes, name: str) -> list[tuple] | None:
    """Read ratings by the documented rules, one line after the other; None where they are refused."""
    delimiter = {"ml-1m": "::", "ml-100k": "\t", "ml-latest-small": ","}[name]
    lines = re.split(rb"\r\n|\r|\n", content.removeprefix(b"\xef\xbb\xbf"))
    if name == "ml-latest-small" and lines.pop(0) != CSV_RATINGS.strip().encode():
        return None
    rows = []
    blanks = " " if name == "ml-100k" else " \t"
    for line in filter(None, lines):
        cells = [cell.strip(blanks) for cell in line.decode("latin-1").split(delimiter)]
        if name == "ml-latest-small":
            cells = [cell[1:-1].strip(blanks) if re.fullmatch('".+"', cell) else cell for cell in cells]
        if len(cells) != 4 or not all(re.fullmatch("[0-9]*[.]?[0-9]*", cell, re.ASCII) for cell in cells):
            return None
        user, movie, stars, time = cells
        if not (user.isdigit() and movie.isdigit() and time.isdigit() and stars.strip(".")):
            return None
        row = (int(user), int(movie), float(stars), int(time))
        grid = [half / 2 for half in range(1, 11)] if name == "ml-latest-small" else [1, 2, 3, 4, 5]
        is_in_range = 0 < row[0] < 2**31 and 0 < row[1] < 2**31 and 631_152_000 <= row[3] <= 4_102_444_800
        if row[2] not in grid or not is_in_range:
            return None
        rows.append(row)
    return rows or None


_CELLS = st.sampled_from(
    ["1", "2", "07", "3.5", "5", "4.", ".5", "978300760", "0978300760", "0x10", "4e0", "+1", "1_0", "\u0661", "", "."]
)
_AROUND = st.sampled_from(["{}"] * 12 + [" {}", "{} ", '"{}"', '" {}"', '"{}', '{}"', "\t{}", "{}\x0b", "{}\u2028"])
_ROW = st.lists(st.builds(lambda cell, around: around.format(cell), _CELLS, _AROUND), min_size=3, max_size=5)
_RATING_ROW = st.tuples(
    st.sampled_from(["1", "2", "07"]), st.just("2"), st.sampled_from(["3", "4.0", "5."]), st.just("978300760")
)


@given(
    rows=st.lists(st.one_of(_RATING_ROW, _RATING_ROW, _ROW), max_size=4),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\r\n"]), min_size=4, max_size=4),
    mark=st.booleans(),
    release=st.sampled_from(["ml-1m", "ml-100k", "ml-latest-small"]),
    block=st.sampled_from([90, 8 << 20]),
)
def test_both_readers_of_ratings_agree_with_a_plain_one_on_what_a_line_and_a_number_is(
    tmp_path: Path, rows: list[list[str]], ends: list[str], mark: bool, release: str, block: int
):
    delimiter = {"ml-1m": "::", "ml-100k": "\t", "ml-latest-small": ","}[release]
    head = CSV_RATINGS if release == "ml-latest-small" else ""
    text = head + "".join(delimiter.join(row) + end for row, end in zip(rows, ends, strict=False))
    _expect_agreement(tmp_path, (b"\xef\xbb\xbf" if mark else b"") + text.encode(), release, block)


@given(content=st.binary(max_size=200), release=st.sampled_from(["ml-1m", "ml-100k", "ml-latest-small"]))
def test_both_readers_of_ratings_agree_with_a_plain_one_on_any_bytes(tmp_path: Path, content: bytes, release: str):
    head = CSV_RATINGS.encode() if release == "ml-latest-small" else b""
    _expect_agreement(tmp_path, head + content, release, 8 << 20)


def _expect_agreement(folder: Path, content: bytes, name: str, block: int) -> None:
    release = find_release(name)
    source = _source(folder, release, content)
    expected = _plain_ratings(content, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block)
        fault = find_fault(source, release)
        if expected is None:
            assert fault is not None
            with pytest.raises(InputError, match=re.escape(fault.message)):
                list(read_ratings(source, release))
        else:
            assert fault is None
            assert np.concatenate(list(read_ratings(source, release))).tolist() == expected
