"""Repeat to an exported model the requests of before it was saved: `python -I check_export.py MODEL MAX_LATENCY_MS`.

Run as a script of its own with TensorFlow and nothing of this project, as a model server would. The last line of its
output is JSON: `findings`, a list of sentences, empty for a model that can be served, and `latency_ms`.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

BATCH = 64
WARM_UP_REQUESTS = 5
TIMED_REQUESTS = 20
TIMED_ROUNDS = 5
SCORE_TOLERANCE = 1e-3

FILLER_SCORE = float(np.finfo(np.float32).min)
"""Score of the fillers, which bear the pad's id, at an answer's end where fewer movies are left."""

HISTORY = "context_movie_id"
Tensors = dict[str, tuple[tf.DType, int]]
"""Type and number of dimensions of a signature's inputs or outputs."""

MovieId = int | str


def signatures_of(movie_id: tf.DType) -> dict[str, tuple[Tensors, Tensors]]:
    """Return each signature's inputs and outputs for movie ids of a type."""
    answer = {"movie_id": (movie_id, 2), "score": (tf.float32, 2)}
    return {
        "serving_default": ({HISTORY: (movie_id, 2)}, answer),
        "include_seen": ({HISTORY: (movie_id, 2)}, answer),
        "filtered": (
            {
                HISTORY: (movie_id, 2),
                "include_seen": (tf.bool, 1),
                "allow_movie_id": (movie_id, 2),
                "deny_movie_id": (movie_id, 2),
                "genre": (tf.string, 2),
                "without_genre": (tf.string, 2),
                "first_year": (tf.int64, 1),
                "last_year": (tf.int64, 1),
            },
            answer,
        ),
        "similar": ({"movie_id": (movie_id, 1)}, answer),
        "evaluate": (
            {"examples": (tf.string, 1)},
            {
                "rank": (tf.int64, 1),
                "rank_unfiltered": (tf.int64, 1),
                "rank_popularity": (tf.int64, 1),
                "rank_recent_popularity": (tf.int64, 1),
                "top_movie_id": (movie_id, 2),
                "top_label_count": (tf.int64, 2),
                "label_count": (tf.int64, 1),
                "num_train_labels": (tf.int64, 1),
                "pad_movie_id": (movie_id, 1),
                "catalogue_size": (tf.int64, 1),
            },
        ),
    }


Answer = tuple[np.ndarray, np.ndarray]
"""Movies and scores of one request, without fillers."""

Ask = Callable[[list[list[MovieId]]], list[Answer]]


def main(folder: str, max_latency_ms: float, max_longest_latency_ms: float = math.inf) -> dict[str, Any]:
    """Check a model, and return findings and latency.

    Parameters
    ----------
    folder
        The SavedModel, wherever TensorFlow can read it, with `canaries.json`, `catalogue.jsonl` and
        `export.json` in `assets.extra/`.
    max_latency_ms
        The most that the median of single requests may take; where the export has a history of median length, of it.
    max_longest_latency_ms
        The same for its longest history, where it has one.
    """
    try:
        model = tf.saved_model.load(folder)
        canaries = json.loads(_read(f"{folder}/assets.extra/canaries.json"))
        catalogue = [json.loads(line)["id"] for line in _read(f"{folder}/assets.extra/catalogue.jsonl").splitlines()]
        pad = json.loads(_read(f"{folder}/assets.extra/export.json"))["pad_movie_id"]
    except Exception as error:  # any failure to load the model is a finding
        return {"findings": [f"the export can't be loaded: {_one_line(error)}"], "latency_ms": None}
    movie_id = tf.string if isinstance(pad, str) else tf.int64
    findings = list(check_signatures(model.signatures, movie_id))
    if findings:
        return {"findings": findings, "latency_ms": None}

    def ask(histories: list[list[MovieId]]) -> list[Answer]:
        longest = max(len(history) for history in histories)
        padded = [history + [pad] * (longest - len(history)) for history in histories]
        answer = model.signatures["serving_default"](**{HISTORY: tf.constant(padded, movie_id)})
        return unfilled(answer, pad)

    try:
        for canary in canaries:
            findings += check_canary(ask, canary, pad)
        findings += check_batch(ask, canaries, catalogue)
        findings += check_other_signatures(model, canaries, pad)
        latency_ms = measure_latency(ask, _named(canaries, "median", "ordinary"), max_latency_ms)
        longest = _named(canaries, "longest")
        longest_ms = measure_latency(ask, longest, max_longest_latency_ms) if longest else None
    except Exception as error:  # as above
        return {"findings": [*findings, f"a request failed: {_one_line(error)}"], "latency_ms": None}
    if latency_ms > max_latency_ms:
        findings.append(f"a request takes {latency_ms:.0f} ms, more than the {max_latency_ms:g} ms allowed")
    if longest_ms is not None and longest_ms > max_longest_latency_ms:
        findings.append(
            f"a request with a history of {len(longest):,} takes {longest_ms:.0f} ms, more than the "
            f"{max_longest_latency_ms:g} ms allowed"
        )
    return {"findings": findings, "latency_ms": latency_ms, "longest_latency_ms": longest_ms}


def check_signatures(signatures: dict[str, Any], movie_id: tf.DType) -> Iterator[str]:
    """Yield where names, types and numbers of dimensions differ from what callers rely on."""
    for name, (inputs, outputs) in signatures_of(movie_id).items():
        if name not in signatures:
            yield f"the signature {name} is missing"
            continue
        signature = signatures[name]
        given = {key: (spec.dtype, spec.shape.rank) for key, spec in signature.structured_input_signature[1].items()}
        answered = {key: (spec.dtype, spec.shape.rank) for key, spec in signature.structured_outputs.items()}
        for kind, wanted, found in (("input", inputs, given), ("output", outputs, answered)):
            for key, (dtype, rank) in wanted.items():
                if key not in found:
                    yield f"{name} has no {kind} {key}"
                elif found[key][0] != dtype or found[key][1] not in (rank, None):
                    yield f"{name}'s {kind} {key} is {_spell(*found[key])}, not {_spell(dtype, rank)}"
            for key in found.keys() - wanted.keys():
                yield f"{name} has an unexpected {kind} {key}"


def check_canary(ask: Ask, canary: dict[str, Any], pad: MovieId) -> Iterator[str]:
    """Repeat a request of before the model was saved, and yield what is wrong with the answer, or differs."""
    name, history = canary["name"], canary[HISTORY]
    ids, scores = ask([history])[0]
    if len(ids) != canary["answers"]:
        yield f"{name}: {len(ids)} ids are recommended, not {canary['answers']}"
    yield from check_answer(name, ids, scores, history, pad)
    recorded = np.array(canary["score"])
    now = scores[: len(recorded)]
    if now.shape != recorded.shape or not np.allclose(now, recorded, atol=SCORE_TOLERANCE, rtol=SCORE_TOLERANCE):
        yield f"{name}: the scores are not those that the model gave before it was saved"
        return
    for place, (movie, then) in enumerate(zip(ids.tolist(), canary["movie_id"], strict=False)):
        # Movies whose scores tie may change places between processors.
        if movie != then and not _ties(recorded, place):
            yield f"{name}: {then} was recommended at place {place + 1} before the model was saved, now {movie}"
            return


def check_answer(name: str, ids: np.ndarray, scores: np.ndarray, seen: list[MovieId], pad: MovieId) -> Iterator[str]:
    """Yield what an answer holds that no model's answer may hold."""
    if (ids == pad).any():
        yield f"{name}: a pad is recommended"
    if len(np.unique(ids)) != len(ids):
        yield f"{name}: an id is recommended twice"
    offered_again = sorted(set(ids.tolist()) & set(seen) - {pad})
    if offered_again:
        yield f"{name}: {offered_again[0]} of the history is recommended"
    if not np.isfinite(scores).all():
        yield f"{name}: a score is not finite"
    elif (np.diff(scores) > 0).any():
        yield f"{name}: the recommendations are not ordered by score"


def check_batch(ask: Ask, canaries: list[dict[str, Any]], catalogue: list[MovieId]) -> Iterator[str]:
    """Yield which canaries are answered otherwise in one batch with all others and the whole catalogue."""
    asked = [canaries[row % len(canaries)][HISTORY] for row in range(BATCH - 1)]
    answers = ask([*asked, catalogue])
    if len(answers) != BATCH:
        yield f"a batch of {BATCH} requests gets {len(answers)} answers"
        return
    for canary, (ids, scores) in zip(canaries, answers, strict=False):
        recorded = np.array(canary["score"])
        first = scores[: len(recorded)]
        if len(ids) != canary["answers"] or not np.allclose(
            first, recorded, atol=SCORE_TOLERANCE, rtol=SCORE_TOLERANCE
        ):
            yield f"{canary['name']}: the answer is another one in a batch of {BATCH}"
    if len(answers[-1][0]):
        yield f"a history of the whole catalogue: {len(answers[-1][0])} ids are recommended, not 0"


def check_other_signatures(model: Any, canaries: list[dict[str, Any]], pad: MovieId) -> Iterator[str]:
    """Yield what is wrong with the answers of the signatures `include_seen`, `filtered` and `similar`."""
    history = _named(canaries, "ordinary")
    movie_id = tf.string if isinstance(pad, str) else tf.int64
    asked: dict[str, tuple[dict[str, tf.Tensor], list[MovieId]]] = {
        "include_seen": ({HISTORY: tf.constant([history], movie_id)}, []),
        "filtered": (
            {
                HISTORY: tf.constant([history[:1]], movie_id),
                "include_seen": tf.constant([True]),
                "allow_movie_id": tf.constant([[pad]], movie_id),
                "deny_movie_id": tf.constant([history], movie_id),
                "genre": tf.constant([[""]]),
                "without_genre": tf.constant([[""]]),
                "first_year": tf.constant([0], tf.int64),
                "last_year": tf.constant([0], tf.int64),
            },
            history,
        ),
        "similar": ({"movie_id": tf.constant(history[:1], movie_id)}, history[:1]),
    }
    for name, (inputs, seen) in asked.items():
        yield from check_answer(name, *unfilled(model.signatures[name](**inputs), pad)[0], seen, pad)


def unfilled(answer: dict[str, tf.Tensor], pad: MovieId) -> list[Answer]:
    """Return the rows of an answer without the fillers at their ends; a pad elsewhere, or with a score, stays."""
    rows = []
    for ids, scores in zip(answer["movie_id"].numpy(), answer["score"].numpy(), strict=True):
        if isinstance(pad, str):
            ids = np.array([movie_id.decode() for movie_id in ids], dtype=object)
        movies = np.flatnonzero((ids != pad) | (scores != FILLER_SCORE))
        length = movies[-1] + 1 if len(movies) else 0
        rows.append((ids[:length], scores[:length]))
    return rows


def measure_latency(ask: Ask, history: list[MovieId], max_latency_ms: float) -> float:
    """Return the median milliseconds of single requests, after some that warm up.

    A median above the limit is measured anew, up to `TIMED_ROUNDS` times, and the lowest counts: a slow model is slow
    each time, while a machine that is busy with something else is so only for a while.
    """
    for _ in range(WARM_UP_REQUESTS):
        ask([history])
    lowest = math.inf
    for _ in range(TIMED_ROUNDS):
        lowest = min(lowest, statistics.median(_milliseconds(ask, history) for _ in range(TIMED_REQUESTS)))
        if lowest <= max_latency_ms:
            break
    return lowest


def _milliseconds(ask: Ask, history: list[MovieId]) -> float:
    started = time.perf_counter()
    ask([history])
    return 1000 * (time.perf_counter() - started)


def _read(path: str) -> str:
    with tf.io.gfile.GFile(path) as file:
        return file.read()


def _named(canaries: list[dict[str, Any]], *names: str) -> list[MovieId]:
    """Return the history of the first of the names that there is; an empty one where there is none."""
    histories = {canary["name"]: canary[HISTORY] for canary in canaries}
    return next((histories[name] for name in names if name in histories), [])


def _ties(scores: np.ndarray, place: int) -> bool:
    neighbours = np.delete(scores, place)
    return bool(len(neighbours)) and bool(np.min(np.abs(neighbours - scores[place])) <= SCORE_TOLERANCE)


def _spell(dtype: tf.DType, rank: int | None) -> str:
    return f"{dtype.name} of {'unknown' if rank is None else rank} dimensions"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(float, sys.argv[2:]))))
