"""Files of histories that a person asks about, read and checked without TensorFlow.

A file holds one history after the other:

    JSON Lines   `{"history": [1270, 1197], "id": "user-7"}` or the list alone on a line
    CSV          a column `history` of ids with blanks between, or of lists in JSON; a column `id`
    Parquet      a column `history` of lists; a column `id`

What else a file holds is passed over, and `id` may be missing.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from data.errors import InputError
from data.movie_ids import MovieId
from data.releases.catalogue import Catalogue
from serving.batch_job import BatchJob, Request, check_columns

_MARK = "\ufeff"
_INTEGER = re.compile(r"-?[0-9]{1,19}")


def read_requests(job: BatchJob, catalogue: Catalogue) -> Iterator[Request]:
    """Yield the requests of a job's source.

    Answers in JSON Lines repeat an id as it is. Those in CSV and Parquet have one type for all of them: the source's
    where that is Parquet, otherwise texts, in which what is no text stands as JSON spells it.

    Raises
    ------
    InputError
        The file can't be read, is of another format, lacks the histories, or one of them is none.
    """
    if job.source_format == "parquet":
        # Arrow is imported for who needs it.
        from serving.parquet_requests import read_parquet

        yield from read_parquet(job.source, catalogue)
        return
    requests = (_read_csv if job.source_format == "csv" else _read_json_lines)(job.source, catalogue)
    for place, (kept, history) in requests:
        if kept and job.target_format != "jsonl":
            kept = {"id": _as_text(kept["id"], place)}
        yield kept, history


def _read_json_lines(source: Path, catalogue: Catalogue) -> Iterator[tuple[str, Request]]:
    """Yield requests, each with the place where it stands for messages."""
    for number, line in enumerate(_lines(source), start=1):
        if not line.strip():
            continue
        try:
            request = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite)
        except OverflowError as error:
            raise InputError(f"{source}, line {number} holds a number that is too large", code="M14") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source}, line {number} is not JSON", code="M14") from error
        history = request.get("history") if isinstance(request, dict) else request
        if not isinstance(history, list) or not all(map(catalogue.may_be_id, history)):
            example = '["a1", "b2"]' if catalogue.has_texts else "[1270, 1197]"
            raise InputError(
                f'{source}, line {number} is no history: write {{"history": {example}}}, a list of ids', code="M14"
            )
        kept = {"id": request["id"]} if isinstance(request, dict) and "id" in request else {}
        yield f"{source}, line {number}", (kept, history)


def _read_csv(source: Path, catalogue: Catalogue) -> Iterator[tuple[str, Request]]:
    """Yield requests, each with the place where its row begins for messages.

    The standard library's reader, since it takes pipes and knows the lines; Arrow's infers types of other columns.
    """
    rows = _csv_rows(source)
    _, header = next(rows, (1, []))
    check_columns(source, header)
    place_of_history = header.index("history")
    place_of_id = header.index("id") if "id" in header else None
    for number, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{source}, line {number} has {len(cells)} cells, and the first line names {len(header)}", code="M14"
            )
        history = _parse_cell(cells[place_of_history], catalogue)
        if history is None:
            example = 'a1 b2, or ["a 1", "b 2"]' if catalogue.has_texts else "1270 1197"
            raise InputError(f"{source}, line {number} is no history: write ids such as {example}", code="M14")
        kept = {} if place_of_id is None else {"id": cells[place_of_id]}
        yield f"{source}, line {number}", (kept, history)


def _csv_rows(source: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not empty lines, each with the number of its first line."""
    reader = csv.reader(_lines(source), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{source}, line {first} is not CSV: {error}", code="M14") from error
        if row is None:
            return
        if row:
            yield first, row


def _parse_cell(cell: str, catalogue: Catalogue) -> list[MovieId] | None:
    """Return the history of a cell; None if it is none."""
    if cell.lstrip().startswith("["):
        try:
            history = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    elif catalogue.has_texts:
        history = cell.split()
    else:
        words = cell.split()
        if not all(map(_INTEGER.fullmatch, words)):
            return None
        history = list(map(int, words))
    return history if all(map(catalogue.may_be_id, history)) else None


def _lines(source: Path) -> Iterator[str]:
    """Yield a file's or a pipe's lines with their ends; a byte order mark before the first is left out."""
    try:
        # Python's `utf-8-sig` takes a mark that is cut off for an empty file.
        with source.open(encoding="utf-8", newline="") as lines:
            for number, line in enumerate(lines):
                yield line if number else line.removeprefix(_MARK)
    except OSError as error:
        raise InputError(f"{source} can't be read: {error.strerror or error}", code="M13") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not UTF-8 text", code="M14") from error


def _as_text(value: Any, place: str) -> str | None:
    """Return an id as a text; None stays None."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{place} has an `id` that is no Unicode text, which JSON Lines alone can repeat", code="M14"
        ) from error
    return text


def _refuse_constant(sign: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON doesn't know: an id is repeated in the answer."""
    raise ValueError(sign)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise OverflowError(text)
    return value
