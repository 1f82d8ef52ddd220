"""A peer, fitted in its own environment, as a scorer that this project's benchmark can rank."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import InputError

if TYPE_CHECKING:
    from benchmarks.peers.settings import Peer
    from benchmarks.quality.windows import DataSet
    from trainer_module.dataset import Windows
    from trainer_module.settings import TrainingSettings
    from trainer_module.timelines import TrainTimelines

_SCRIPT = Path(__file__).with_name("fit.py")


@dataclass(frozen=True)
class Fitted:
    """What a peer's process left behind.

    Attributes
    ----------
    score
        The scorer, for those contexts that were handed over.
    epochs
        Passes over the train labels until it stopped.
    validation_recall
        The best recall@10 on the windows to stop on, the context's own movies left out.
    seconds
        From the process's start to the scores' being written.
    """

    score: LookedUp
    epochs: int
    validation_recall: float
    seconds: float


class LookedUp:
    """Scores that were computed before, found by their context.

    Parameters
    ----------
    contexts
        int `[m, length]`, each once.
    scores
        float32 `[m, num_movies]`; may be a file mapped into memory.
    """

    def __init__(self, contexts: np.ndarray, scores: np.ndarray) -> None:
        if len(contexts) != len(scores):
            raise ValueError(f"{len(scores)} rows of scores for {len(contexts)} contexts")
        self._length = contexts.shape[1]
        self._row = {key: row for row, key in enumerate(_keys(contexts))}
        self._scores = scores

    def __call__(self, context: np.ndarray) -> np.ndarray:
        """Return float32 `[n, num_movies]` for contexts int `[n, length]`, or for histories of any other length.

        Raises
        ------
        KeyError
            A context was never scored.
        """
        from benchmarks.quality.windows import ends_of

        if context.shape[1] != self._length:
            context = ends_of(context, self._length)
        try:
            rows = [self._row[key] for key in _keys(context)]
        except KeyError as error:
            unknown = np.frombuffer(error.args[0], np.int32).tolist()
            raise KeyError(f"the context {unknown} was never scored") from None
        return self._scores[rows]


def peer_scorer(data: DataSet, peer: Peer, *, training: TrainingSettings, folder: Path, python: Path) -> LookedUp:
    """Fit a peer with its chosen options and return its scores of the eval contexts.

    Parameters
    ----------
    data
        The peer is fitted to the train labels but for those held out, on which it is stopped.
    peer
        One of `benchmarks.peers.settings.PEERS`.
    training
        The share of train to hold out, and the seed.
    folder
        For the exchanged files and the log.
    python
        The environment's.

    Raises
    ------
    InputError
        Nothing would be held out, or the peer's process failed.
    """
    data = peer.read(data)
    fitted, validation = hold_out_for(peer, data, training.validation_fraction, training.seed)
    if not len(validation):
        raise InputError(
            f"{peer.library}'s {peer.model} has to be stopped on held-out windows: validation_fraction leaves none",
            code="B04",
        )
    result = fit_peer(
        peer,
        peer.options,
        fitted,
        validation,
        data.evaluation.context,
        data.num_movies,
        seed=training.seed,
        folder=folder,
        python=python,
    )
    print(
        f"  {result.epochs} epochs, validation recall@10 {result.validation_recall:.4f}, {result.seconds:.0f} s:",
        file=sys.stderr,
    )
    return result.score


def hold_out_for(peer: Peer, data: DataSet, fraction: float, seed: int) -> tuple[Windows | TrainTimelines, Windows]:
    """Return what a peer is fitted to, and the windows to stop it on, which are of train too.

    Raises
    ------
    ValueError
        The peer is fitted to timelines, and the data set has none.
    """
    from trainer_module.dataset import hold_out

    if peer.library == "RecBole":
        return hold_out(data.train, fraction, seed)
    if data.timelines is None:
        raise ValueError(f"{peer.name} is fitted to timelines, and the data set has none")
    fitted, validation = hold_out(data.timelines, fraction, seed)
    return fitted, validation.windows()


def fit_peer(
    peer: Peer,
    options: Mapping[str, object],
    fitted: Windows | TrainTimelines,
    validation: Windows,
    contexts: np.ndarray,
    num_movies: int,
    *,
    seed: int,
    folder: Path,
    python: Path,
) -> Fitted:
    """Fit a peer in its environment and let it score contexts.

    Parameters
    ----------
    peer
        Says which model of which library.
    options
        The library's settings that differ from its defaults.
    fitted, validation
        What to fit, and the windows to stop on. Labels of the eval split never reach the peer.
    contexts
        int `[n, length]`: what will be asked for.
    num_movies
        Size of the vocabulary.
    seed
        Fixes weights, dropout and batches.
    folder
        For the exchanged files, which are written anew, and the log.
    python
        The environment's.

    Raises
    ------
    InputError
        The process failed, the message ending in its log's last line; or it wrote no scores.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contexts = np.unique(contexts, axis=0).astype(np.int32)
    for name, labels in (("train", fitted), ("validation", validation)):
        np.savez(folder / f"{name}.npz", **{key: of for key, of in vars(labels).items() if isinstance(of, np.ndarray)})
    np.savez(folder / "contexts.npz", context=contexts)
    request = {"library": peer.library, "model": peer.model, "num_movies": num_movies, "seed": seed}
    request["options"] = dict(options)
    (folder / "request.json").write_text(json.dumps(request, indent=2), encoding="utf-8")
    result = _run(python, folder)
    scores = np.load(folder / "scores.npy", mmap_mode="r", allow_pickle=False)
    return Fitted(score=LookedUp(contexts, scores), **result)


def _run(python: Path, folder: Path) -> dict[str, Any]:
    log, answers = folder / "fit.log", [folder / "scores.npy", folder / "result.json"]
    for answer in answers:
        answer.unlink(missing_ok=True)
    with log.open("w", encoding="utf-8") as file:
        # Isolated: neither this project's modules nor its environment variables for Python reach the peer. One thread,
        # unless somebody wants it otherwise: sums in another order give other weights.
        done = subprocess.run(
            [str(python), "-I", str(_SCRIPT), str(folder)],
            stdout=file,
            stderr=file,
            check=False,
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )
    if done.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
        raise InputError(f"the peer failed with exit code {done.returncode}, see {log}: {said[-1]}", code="B05")
    if not all(answer.is_file() for answer in answers):
        raise InputError(f"the peer wrote no scores, see {log}", code="B05")
    return json.loads(answers[-1].read_text(encoding="utf-8"))


def _keys(contexts: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(contexts, np.int32)]
