"""What a `:predict` request asked and got, read back from its bodies for the request log."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson

from data.features import CONTEXT_MOVIE_ID
from data.movie_ids import MovieId

_ASKED_BY_HISTORY = (None, "", "serving_default", "include_seen", "filtered")
"""Names of the signatures that are asked with histories; without a name it is the default one."""

_MOVIE_ID = "movie_id"


def predict_rows(body: bytes, content: bytes, pad: MovieId) -> list[tuple[list[MovieId], list[MovieId]]]:
    """Return histories and answers, without pads.

    Parameters
    ----------
    body, content
        Of a request that was answered, and of its answer.
    pad
        What stands for no movie.

    Returns
    -------
    list
        Nothing where the request asked another thing than histories.
    """
    asked, answered = orjson.loads(body), orjson.loads(content)
    if asked.get("signature_name") not in _ASKED_BY_HISTORY:
        return []
    if "instances" in asked:
        histories = [_of(row, CONTEXT_MOVIE_ID) for row in asked["instances"]]
        answers = [row[_MOVIE_ID] for row in answered["predictions"]]
    else:
        histories, answers = _of(asked["inputs"], CONTEXT_MOVIE_ID), answered["outputs"][_MOVIE_ID]
    return [(_without(pad, history), _without(pad, answer)) for history, answer in zip(histories, answers, strict=True)]


def _of(value: Any, name: str) -> Any:
    """Return a named value; a single one may stand bare."""
    return value[name] if isinstance(value, dict) else value


def _without(pad: MovieId, ids: Sequence[Any]) -> list[MovieId]:
    plain = [base64.b64decode(one["b64"]).decode(errors="replace") if isinstance(one, dict) else one for one in ids]
    return [one for one in plain if one != pad]
