"""Recommending to a whole file of histories."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from data.user_files import writing
from serving.recommender import Recommender, answer_lengths
from serving.requests import Request, read_requests

_BATCH = 256
"""Histories asked at once. Measured at 4,000 movies on two cores: larger ones are slower."""

_SCORE_DIGITS = 6


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
        for batch in batches(read_requests(source, recommender.catalogue)):
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
