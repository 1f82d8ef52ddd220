"""Read a release's ratings, and refuse what is none.

What a line is says `data.releases.lines`, what a cell and a number is the patterns below. Ratings are parsed
in blocks by Arrow, which gets nothing to read but digits, points and delimiters, and checked on whole arrays. Only
when that fails is the file read again line by line, to say which line is at fault and why.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from data.errors import CodedMessage, InputError
from data.releases.archives import READ_ERRORS, Source, reading
from data.releases.lines import numbered_lines, whole_lines
from data.releases.release import Release
from data.timelines.timelines import RATING_DTYPE

MAX_ID = 2**31 - 1
MIN_TIME = 631_152_000
"""1990-01-01; MovieLens opened in 1997, its forerunner's ratings begin in 1995."""
MAX_TIME = 4_102_444_800
"""2100-01-01."""

_INTEGER = re.compile(r"0*[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_LINE = re.compile(rb"[^\r\n]*(\r\n|\r|\n)?")
_QUOTES = re.compile(rb'(?<![^,\r\n])"[ \t]*([0-9.]+)[ \t]*"(?![^,\r\n])')


def _blanks_beside_numbers(delimiter: bytes, blank: bytes) -> re.Pattern[bytes]:
    """Match blanks between a number, perhaps in quotes, and the delimiter or the line's end."""
    other = rb"[^" + delimiter + rb"\r\n]"
    return re.compile(
        rb"(?<!" + other + rb")" + blank + rb'+(?=[0-9."])|(?<=[0-9."])' + blank + rb"+(?!" + other + rb")"
    )


_BLANKS = {
    ",": _blanks_beside_numbers(b",", rb"[ \t]"),
    ":": _blanks_beside_numbers(b":", rb"[ \t]"),
    "\t": _blanks_beside_numbers(b"\t", b" "),
}


def is_id(cell: str) -> bool:
    """Return whether a text is the id of a user or movie."""
    return bool(_INTEGER.fullmatch(cell)) and 0 < int(cell[-18:]) <= MAX_ID


def quoted(text: str) -> str:
    """Return a text from a file as it stands in messages, in quotes and not too long."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def read_ratings(source: Source, release: Release) -> Iterator[NDArray[np.void]]:
    """Read a release's ratings in blocks of about 8 MiB of text, in the file's order.

    A byte order mark of UTF-8, line ends of all kinds (see `data.releases.lines`), blank lines, blanks around numbers
    and in CSV quotes around them are tolerated.

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
    except (pa.ArrowException, InputError, *READ_ERRORS) as error:
        with reading(source, release.ratings_file):
            fault = find_fault(source, release)
        if fault is None:
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            fault = CodedMessage(f"is not a ratings file ({reason})", code="D13")
        raise InputError(f"{source.label}: {release.ratings_file} {fault.message}", code=fault.code) from error


def find_fault(source: Source, release: Release) -> CodedMessage | None:
    """Read a ratings file line by line, and return what is wrong with its first bad line; None if none is."""
    header = release.ratings_format.header
    num_ratings = 0
    try:
        with source.open(release.ratings_file) as file:
            for number, line in numbered_lines(file):
                if number == 1 and header is not None:
                    reason = _header_fault(line, header)
                elif line:
                    reason = _line_fault(line, release)
                    num_ratings += 1
                else:
                    continue
                if reason is not None:
                    return CodedMessage(f"line {number}: {reason.message}", code=reason.code)
    except InputError as error:
        return CodedMessage(error.message, code=error.code)
    return None if num_ratings else CodedMessage("holds no ratings", code="D15")


def find_repeats(source: Source, release: Release, rating: NDArray[np.void]) -> list[int]:
    """Return the numbers of the lines that hold one rating, a `RATING_DTYPE` scalar."""
    wanted = tuple(float(value) for value in rating.item())
    numbers = []
    with source.open(release.ratings_file) as file:
        for number, line in numbered_lines(file):
            cells = _named_cells(line, release)
            try:
                found = tuple(float(cells[name]) for name in RATING_DTYPE.names or ())
            except (KeyError, ValueError):
                continue
            if found == wanted:
                numbers.append(number)
    return numbers


def _parse_blocks(source: Source, release: Release) -> Iterator[NDArray[np.void]]:
    layout = release.ratings_format
    names = [name or f"empty {place}" for place, name in enumerate(layout.columns)]
    types = {"user": pa.int64(), "movie": pa.int64(), "stars": pa.float64(), "time": pa.int64()}
    parse_options = pacsv.ParseOptions(delimiter=layout.delimiter, quote_char=False)
    convert_options = pacsv.ConvertOptions(
        column_types={name: types.get(name, pa.string()) for name in names}, null_values=[]
    )
    plain_bytes = b"0123456789.\r\n" + layout.delimiter.encode()
    num_ratings = 0
    with source.open(release.ratings_file) as file:
        for place, piece in enumerate(whole_lines(file)):
            lines = piece
            if place == 0 and layout.header is not None:
                header = _LINE.match(piece)
                if header is None or _header_fault(header[0].rstrip(b"\r\n"), layout.header):
                    raise pa.ArrowInvalid("wrong header")
                lines = piece[header.end() :]
            lines = _plain(lines, layout.delimiter)
            if lines.translate(None, plain_bytes):
                raise pa.ArrowInvalid("more than numbers")
            if not lines.strip(b"\r\n"):
                continue
            table = pacsv.read_csv(
                pa.BufferReader(lines),
                read_options=pacsv.ReadOptions(column_names=names, block_size=len(lines) + 1, use_threads=False),
                parse_options=parse_options,
                convert_options=convert_options,
            )
            for batch in table.to_batches():
                num_ratings += batch.num_rows
                yield _checked(batch, release)
    if not num_ratings:
        raise pa.ArrowInvalid("no ratings")


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


def _plain(lines: bytes, delimiter: str) -> bytes:
    """Return lines without the blanks and, in CSV, the quotes around numbers."""
    if b" " in lines or (delimiter != "\t" and b"\t" in lines):
        lines = _BLANKS[delimiter].sub(b"", lines)
    if delimiter == "," and b'"' in lines:
        lines = _QUOTES.sub(rb"\1", lines)
    return lines


def _named_cells(line: bytes, release: Release) -> dict[str, str]:
    layout = release.ratings_format
    return dict(zip(layout.columns, _cells(line, layout.delimiter), strict=False))


def _cells(line: bytes, delimiter: str) -> list[str]:
    return _plain(line, delimiter).decode("utf-8", errors="replace").split(delimiter)


def _header_fault(line: bytes, header: tuple[str, ...]) -> CodedMessage | None:
    """Return why the first line of a CSV file is not its header; None if it is."""
    text = line.decode("utf-8", errors="replace")
    try:
        names = next(csv.reader([text]), [])
    except csv.Error:
        names = [text]
    if tuple(names) == header:
        return None
    return CodedMessage(f"the header is {quoted(text)}, not {','.join(header)!r}", code="D14")


def _line_fault(line: bytes, release: Release) -> CodedMessage | None:
    """Return why a line is not a rating; None if it is one."""
    if b"\0" in line:
        return CodedMessage("holds a NUL byte", code="D12")
    layout = release.ratings_format
    cells = _cells(line, layout.delimiter)
    text = line.decode("utf-8", errors="replace")
    if len(cells) != len(layout.columns):
        return CodedMessage(f"{quoted(text)} is not of the form {layout.delimiter.join(layout.columns)!r}", code="D16")
    values = dict(zip(layout.columns, cells, strict=True))
    if any(cell for name, cell in zip(layout.columns, cells, strict=True) if not name):
        return CodedMessage(f"{quoted(text)} holds text between its delimiters", code="D16")
    for name, meaning in (("user", "a user's id"), ("movie", "a movie's id")):
        if not is_id(values[name]):
            return CodedMessage(f"{quoted(values[name])} is not {meaning}, a number from 1 to {MAX_ID}", code="D17")
    stars = values["stars"]
    step = 0.5 if release.half_stars else 1.0
    if not _DECIMAL.fullmatch(stars):
        return CodedMessage(f"{quoted(stars)} is not a number of stars", code="D18")
    if not release.min_stars <= float(stars) <= release.max_stars or float(stars) % step:
        grid = "half" if release.half_stars else "whole"
        return CodedMessage(
            f"{quoted(stars)} is not a rating of this release, "
            f"{grid} stars from {release.min_stars:g} to {release.max_stars:g}",
            code="D18",
        )
    time = values["time"]
    if not _INTEGER.fullmatch(time) or not MIN_TIME <= int(time[-18:]) <= MAX_TIME:
        return CodedMessage(f"{quoted(time)} is not a time from 1990 to 2100 in seconds since 1970", code="D19")
    return None
