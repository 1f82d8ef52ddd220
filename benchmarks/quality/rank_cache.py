"""Ranks that were made once and are read again: a peer takes a quarter of an hour to fit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.scoring import Ranks
from benchmarks.quality.windows import DataSet

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ranked:
    """A system's ranks of the eval windows.

    Attributes
    ----------
    ranks
        Of each label.
    seconds
        What fitting and ranking took when it was done.
    """

    ranks: Ranks
    seconds: float


def keep_ranks(folder: Path, name: str, data: DataSet, made_of: Any, make: Callable[[], Ranks]) -> Ranked:
    """Return ranks from the folder, or make them and put them there.

    Parameters
    ----------
    folder
        Where ranks are kept, one file for each system and what it was made of.
    name
        The system's.
    data
        The windows that it is fitted to and ranked on.
    made_of
        Whatever else decides on the ranks, as JSON can spell it.
    make
        Fits the system and ranks.
    """
    kept = folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{_digest(data, made_of)[:16]}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            ranks = Ranks(file["excluded"], file["unfiltered"], int(file["recommended"]), int(file["num_movies"]))
            return Ranked(ranks, float(file["seconds"]))
    started = time.monotonic()
    ranks = make()
    ranked = Ranked(ranks, time.monotonic() - started)
    _write(kept, ranked)
    return ranked


def _write(path: Path, ranked: Ranked) -> None:
    """Write ranks to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    with partial.open("wb") as file:
        np.savez(file, seconds=ranked.seconds, **asdict(ranked.ranks))
    partial.replace(path)


def digest_of_code(*files: str) -> str:
    """Return a SHA-256 over files of this project and over how all systems are ranked."""
    digest = hashlib.sha256()
    for file in ("benchmarks/quality/scoring.py", "trainer_module/ranking.py", *files):
        digest.update((_ROOT / file).read_bytes() + b"\0")
    return digest.hexdigest()


def _digest(data: DataSet, made_of: Any) -> str:
    digest = hashlib.sha256(json.dumps([made_of, digest_of_code()], sort_keys=True).encode())
    for windows in (data.train, data.evaluation):
        digest.update(np.ascontiguousarray(windows.context).tobytes() + np.ascontiguousarray(windows.label).tobytes())
    digest.update(data.movie_ids.tobytes())
    for history in data.histories or ():
        digest.update(history.tobytes() + b"\0")
    return digest.hexdigest()
