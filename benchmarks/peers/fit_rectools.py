"""Fit a sequential model of RecTools': what `fit.py` asks of the library.

Train is timelines, each movie of which is read by the model as often as it lies in a session:

    movies     int32 [n]: timelines one after the other, oldest first
    starts     int64 [num_timelines]: where each begins
    is_label   bool [n]: what training may ask for
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np

_SCORE_BATCH = 1024
_TOP = 10


def fit_and_score(
    folder: Path,
    request: dict[str, Any],
    train: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    contexts: np.ndarray,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Fit the model that is asked for and score contexts.

    Parameters
    ----------
    folder
        Not used: the library takes its data from memory.
    request
        As in `request.json`. Of the options `epochs` is how many there are at most, `patience` how many of them may
        pass without a better recall@10 on the validation windows, and `batch_movies` how many a batch of sessions has
        room for; all others are the model's own.
    train
        Timelines.
    validation
        `context` int `[n, length]` and `label` int `[n]`.
    contexts
        int `[m, length]`. The model reads so many movies at most.

    Returns
    -------
    tuple
        Scores float32 `[m, num_movies]`, by the weights of the best epoch, the lowest number there is for a movie that
        no session shows; and how many epochs there were, with the best validation recall@10 (the context's own movies
        left out).
    """
    import pandas as pd
    import pytorch_lightning
    import rectools.models
    import torch
    from rectools.dataset import Dataset
    from rectools.models.nn.transformers.lightning import TransformerLightningModule

    class AsksForLabels(TransformerLightningModule):
        """The library's loss, of those places alone that have a weight: it scores all movies at the others too."""

        def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
            catalogue = self.torch_model.item_model.get_all_embeddings()
            asked = batch["yw"] > 0
            queries = self.torch_model.encode_sessions(batch, catalogue)[asked]
            logits = self.torch_model.similarity_module(queries, catalogue)
            return torch.nn.functional.cross_entropy(logits, batch["y"][asked])

    length = contexts.shape[1]
    options = dict(request["options"])
    most_epochs, patience = options.pop("epochs"), options.pop("patience")
    options["batch_size"] = max(1, options.pop("batch_movies") // length)
    pytorch_lightning.seed_everything(request["seed"])
    model = getattr(rectools.models, f"{request['model']}Model")(
        session_max_len=length, lightning_module_type=AsksForLabels, **options
    )
    dataset = Dataset.construct(pd.DataFrame(interactions_of(train, length)))
    best, best_weights, best_epoch, epoch = -1.0, None, 0, 0
    while epoch < most_epochs and epoch - best_epoch <= patience:
        model.fit_partial(dataset, min_epochs=1, max_epochs=1)
        epoch += 1
        scores = score(model, validation["context"], request["num_movies"])
        recall = recall_of(scores, validation["context"], validation["label"])
        if recall >= best:
            best, best_weights, best_epoch = recall, copy.deepcopy(model.torch_model.state_dict()), epoch
        print(f"epoch {epoch}: validation recall@{_TOP} {recall:.4f}", file=sys.stderr, flush=True)
    model.torch_model.load_state_dict(best_weights)
    scores = score(model, contexts, request["num_movies"])
    return scores, {"epochs": epoch, "validation_recall": best}


def cut_sessions(train: dict[str, np.ndarray], length: int) -> list[tuple[int, int]]:
    """Cut timelines into sessions, one behind the other.

    RecTools itself takes the last `length + 1` interactions of each user, and would pass over all earlier labels.

    Parameters
    ----------
    train
        Timelines.
    length
        How many movies before a label the model reads at most.

    Returns
    -------
    list
        For each session the row of its first movie, which is read alone, and that behind its last one. Each label lies
        in one session; sessions without any are left out.
    """
    ends = np.append(train["starts"], len(train["movies"]))[1:]
    sessions = []
    for start, end in zip(train["starts"].tolist(), ends.tolist(), strict=True):
        for first in range(start, end - 1, length):
            behind = min(first + length + 1, end)
            if train["is_label"][first + 1 : behind].any():
                sessions.append((first, behind))
    return sessions


def interactions_of(train: dict[str, np.ndarray], length: int) -> dict[str, np.ndarray]:
    """Return the columns of RecTools' interactions, in which a user is a session.

    What is no label has a weight of 0, by which the loss is multiplied. Times tell nothing but the order.
    """
    sessions = cut_sessions(train, length)
    rows = np.concatenate([np.arange(first, behind) for first, behind in sessions])
    return {
        "user_id": np.repeat(np.arange(len(sessions)), [behind - first for first, behind in sessions]),
        "item_id": train["movies"][rows],
        "weight": train["is_label"][rows].astype(float),
        "datetime": rows.astype("datetime64[s]"),
    }


def left_padded(contexts: np.ndarray, item_of_movie: np.ndarray) -> np.ndarray:
    """Translate contexts into RecTools' item numbers.

    Parameters
    ----------
    contexts
        int `[m, length]`. A 0 can stand inside one, for a movie that train never shows: it is passed over.
    item_of_movie
        int64 `[num_movies + 1]`: RecTools' number of each movie index, 0 for none.

    Returns
    -------
    np.ndarray
        int64 `[m, length]`, the last movie in the last column.
    """
    items = item_of_movie[contexts]
    # A stable sort by "is known" moves the known movies to the end and keeps their order.
    return np.take_along_axis(items, np.argsort(items > 0, axis=1, kind="stable"), axis=1)


def score(model: Any, contexts: np.ndarray, num_movies: int) -> np.ndarray:
    """Return a fitted model's scores of all movies, float32 `[m, num_movies]`, for contexts int `[m, length]`."""
    import torch

    movies = model.data_preparator.get_known_item_ids().astype(np.int64)
    columns = model.data_preparator.get_known_items_sorted_internal_ids()
    item_of_movie = np.zeros(num_movies + 1, np.int64)
    item_of_movie[movies] = columns
    sessions = torch.from_numpy(left_padded(contexts, item_of_movie))
    scores = np.full((len(contexts), num_movies), np.finfo(np.float32).min, np.float32)
    net = model.torch_model.eval()
    with torch.no_grad():
        catalogue = net.item_model.get_all_embeddings()
        for start in range(0, len(contexts), _SCORE_BATCH):
            rows = slice(start, start + _SCORE_BATCH)
            queries = net.encode_sessions({"x": sessions[rows]}, catalogue)[:, -1]
            scores[rows, movies - 1] = net.similarity_module(queries, catalogue).numpy()[:, columns]
    return scores


def recall_of(scores: np.ndarray, contexts: np.ndarray, labels: np.ndarray) -> float:
    """Return recall@10, the context's own movies left out.

    Parameters
    ----------
    scores
        float32 `[n, num_movies]`; those of the contexts' movies are overwritten.
    contexts
        int `[n, length]`, 0 for no movie.
    labels
        int `[n]`, from 1.
    """
    of_label = np.take_along_axis(scores, labels[:, np.newaxis] - 1, axis=1)
    query, place = np.nonzero(contexts)
    scores[query, contexts[query, place] - 1] = -np.inf
    return float(np.mean((scores > of_label).sum(axis=1) < _TOP))
