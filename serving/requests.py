"""Files of histories that a person asks about, read and checked without TensorFlow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from data.errors import InputError
from data.movie_ids import MovieId
from data.releases.catalogue import Catalogue

Request = tuple[dict[str, Any], list[MovieId]]
"""What to repeat in the answer, and the history."""

_MARK = "\ufeff"


def _lines(source: Path) -> Iterator[str]:
    """Yield a file's or a pipe's lines; a byte order mark before the first is left out."""
    try:
        # Python's `utf-8-sig` takes a mark that is cut off for an empty file.
        with source.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                yield line if number else line.removeprefix(_MARK)
    except OSError as error:
        raise InputError(f"{source} can't be read: {error.strerror or error}", code="M13") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not UTF-8 text", code="M14") from error


def read_requests(source: Path, catalogue: Catalogue) -> Iterator[Request]:
    """Yield the requests of a file's or a pipe's lines.

    Raises
    ------
    InputError
        A line is not a history, or the file can't be read.
    """
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
        yield {"id": request["id"]} if isinstance(request, dict) and "id" in request else {}, history


def _refuse_constant(sign: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON doesn't know: an id is repeated in the answer."""
    raise ValueError(sign)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise OverflowError(text)
    return value
