"""Fit another library's model and write its scores: `python -I fit.py FOLDER`.

A file that runs in an environment that holds the library and nothing of this project's but the files beside it. The
folder holds

    request.json     {"library": "RecBole" or "RecTools", "model": the library's name of it, "num_movies": int,
                      "seed": int, "options": the library's settings}
    train.npz        what to fit: see `fit_recbole.py` and `fit_rectools.py`
    validation.npz   context int32 [n, length], label int32 [n]: the windows to stop on
    contexts.npz     context int32 [m, length]: what to score

with movies as indices 1..num_movies, contexts oldest first and post-padded with 0. It gets

    scores.npy       float32 [m, num_movies], column c for the movie of index c + 1
    result.json      {"epochs": int, "validation_recall": float, "seconds": float}

torch takes as many threads as `OMP_NUM_THREADS` says, else one for each core.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def main(folder: Path) -> None:
    """Do what the folder's request says."""
    started = time.monotonic()
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    train, validation, contexts = (
        dict(np.load(folder / f"{name}.npz", allow_pickle=False)) for name in ("train", "validation", "contexts")
    )
    # Isolated, Python looks for modules in its environment alone. Libraries write logs to wherever they run.
    sys.path.append(str(Path(__file__).resolve().parent))
    os.chdir(folder)
    library = importlib.import_module(f"fit_{request['library'].lower()}")
    scores, result = library.fit_and_score(folder, request, train, validation, contexts["context"])
    np.save(folder / "scores.npy", scores, allow_pickle=False)
    result["seconds"] = time.monotonic() - started
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
