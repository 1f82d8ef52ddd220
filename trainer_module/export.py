"""Saving a model so that it can be served, named and checked."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data.identity import DataIdentity
from data.movie_ids import MovieId, plain_id
from data.words import MOVIES, Words
from serving.export_record import FORMAT, RECORD_FILE, WARM_UP_FILE, ExportRecord
from serving.training_record import TrainingRecord
from trainer_module.signatures import ServingModel
from trainer_module.warm_up import write_warm_up

EXTRA_ASSETS = "assets.extra"
"""The folder of a SavedModel that TensorFlow leaves to its owner."""

CANARIES_FILE = "canaries.json"
"""Requests with the answers that the model gave before it was saved."""

_CANARY_ANSWERS = 10
"""Movies recorded for each request; ties further down may change places between processors."""


def save_model(
    serving: ServingModel,
    catalogue_file: str,
    movie_ids: np.ndarray,
    folder: str,
    data: DataIdentity | None = None,
    words: Words = MOVIES,
    training: TrainingRecord | None = None,
) -> None:
    """Write a SavedModel with its signatures, the catalogue, canaries, warm-up requests and its export record.

    Parameters
    ----------
    serving
        The model.
    catalogue_file
        File of the data release's catalogue, copied into `assets.extra/`.
    movie_ids
        `[num_movies]`: ids that the model knows, most frequent first.
    folder
        Where to write, a local path or one that TensorFlow's file layer knows.
    data
        The identity of the data that the model was fitted to, if there is one.
    words
        What the data set's items are called.
    training
        How the model was trained, for the next one that starts from it.
    """
    canaries = _ask_canaries(serving, movie_ids)
    tf.saved_model.save(serving, folder, signatures=serving.signatures())
    extra = f"{folder}/{EXTRA_ASSETS}"
    tf.io.gfile.makedirs(extra)
    tf.io.gfile.copy(catalogue_file, f"{extra}/{Path(catalogue_file).name}", overwrite=True)
    with tf.io.gfile.GFile(f"{extra}/{CANARIES_FILE}", "w") as file:
        json.dump(canaries, file, allow_nan=False)
    # A server needs no long one to be warm.
    histories = [canary["context_movie_id"] for canary in canaries if canary["name"] not in serving.history_lengths]
    write_warm_up(f"{folder}/{WARM_UP_FILE}", histories, plain_id(movie_ids[0]), serving.pad)
    record = ExportRecord(
        format=FORMAT,
        max_context_length=None if serving.reads_histories else serving.max_context_length,
        reads="history" if serving.reads_histories else "context",
        pad_movie_id=serving.pad,
        words=words,
        data=data,
        training=training,
    )
    with tf.io.gfile.GFile(f"{folder}/{RECORD_FILE}", "w") as file:
        file.write(record.model_dump_json())


def _ask_canaries(serving: ServingModel, movie_ids: np.ndarray) -> list[dict[str, Any]]:
    """Return requests and answers for a short, a long, an empty, an unknown and a gappy history, and some to time."""
    known = [plain_id(movie_id) for movie_id in movie_ids.tolist()]
    pad = serving.pad
    one, other = itertools.islice(_unknown_ids({*known, pad}, text=isinstance(pad, str)), 2)
    histories: dict[str, list[MovieId]] = {
        "short": known[:1],
        "ordinary": known[1:9] or known,
        "long": known[: min(len(known) // 2, 60)],
        "empty": [],
        "unknown": [one, other],
        "gaps": [pad, known[0], pad, one, known[1 % len(known)], pad],
    }
    for name, length in serving.history_lengths.items():
        # What a long one leaves to be offered are the last of the vocabulary, unless own data have repeats.
        histories[name] = list(itertools.islice(itertools.cycle(known), length))
    canaries = []
    for name, history in histories.items():
        answer = serving.recommend(tf.constant([history], serving.id_type))
        ids = [plain_id(movie_id) for movie_id in answer["movie_id"][0].numpy().tolist()]
        answers = len(ids) - ids.count(pad)
        recorded = min(answers, _CANARY_ANSWERS)
        canaries.append(
            {
                "name": name,
                "context_movie_id": history,
                "answers": answers,
                "movie_id": ids[:recorded],
                "score": answer["score"][0, :recorded].numpy().tolist(),
            }
        )
    return canaries


def _unknown_ids(known: Set[MovieId], *, text: bool) -> Iterator[MovieId]:
    """Yield ids that no movie has."""
    for number in itertools.count(1):
        movie_id: MovieId = f"unknown {number}" if text else number
        if movie_id not in known:
            yield movie_id
