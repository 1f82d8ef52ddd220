"""Recommending to a whole file of histories."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from data.errors import InputError
from data.movie_ids import MovieId
from data.user_files import writing
from serving.recommender import Recommender, answer_lengths

_MARK = "\ufeff"
_BATCH = 256
"""Histories asked at once. Measured at 4,000 movies on two cores: larger ones are slower."""

_SCORE_DIGITS = 6


Request = tuple[dict[str, Any], list[MovieId]]
"""What to repeat in the answer, and the history."""


def recommend_file(
    recommender: Recommender, source: Path, target: Path, k: int = 10, *, include_seen: bool = False
) -> int:
    """Answer every line of a JSON Lines file.

    Parameters
    ----------
    recommender
        The model.
    source
        Each line `{"history": [1270, 1197], "id": "user-7"}`, the id being optional, or the list alone.
    target
        Gets `{"id": ..., "movie_id": [...], "score": [...]}` for each line, in order. A plain file appears when it is
        whole; a device or a pipe is written to.
    k
        Length of an answer; one is shorter where its history leaves fewer movies.
    include_seen
        Offer the histories' own movies too.

    Returns
    -------
    int
        How many histories were answered.

    Raises
    ------
    InputError
        A line is not a history, or a file can't be read or written.
    """
    answered = 0
    with writing(target) as answers:
        for batch in batches(read_requests(source, recommender)):
            answers.writelines(answer_lines(recommender, batch, k, include_seen=include_seen))
            answered += len(batch)
    return answered


def batches(requests: Iterator[Request]) -> Iterator[list[Request]]:
    """Yield requests in lists of as many as are asked at once."""
    while batch := list(islice(requests, _BATCH)):
        yield batch


def answer_lines(
    recommender: Recommender, batch: Sequence[Request], k: int, *, include_seen: bool = False
) -> Iterator[str]:
    """Yield a line of JSON for each request of a batch."""
    ids, scores = recommender.recommend_ids([history for _, history in batch], k, include_seen=include_seen)
    lengths = answer_lengths(ids, recommender.catalogue.pad)
    rounded = np.round(scores.astype(np.float64), _SCORE_DIGITS).tolist()
    for (kept, _), movie_id, score, length in zip(batch, ids.tolist(), rounded, lengths, strict=True):
        yield json.dumps({**kept, "movie_id": movie_id[:length], "score": score[:length]}) + "\n"


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


def read_requests(source: Path, recommender: Recommender) -> Iterator[Request]:
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
        if not isinstance(history, list) or not all(map(recommender.may_be_id, history)):
            example = '["a1", "b2"]' if recommender.has_texts else "[1270, 1197]"
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
