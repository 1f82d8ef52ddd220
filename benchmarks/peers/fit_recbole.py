"""Fit a sequential model of RecBole's: what `fit.py` asks of the library.

Train is windows, `context` int32 [n, length] and `label` int32 [n].
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np

DATA_SET = "windows"
"""RecBole's name for the data: of the folder and of the files in it."""

_SCORE_BATCH = 1024


def write_atomic_files(
    folder: Path, train: dict[str, np.ndarray], validation: dict[str, np.ndarray], num_movies: int
) -> None:
    """Write windows in RecBole's own format.

    Parameters
    ----------
    folder
        Made if it isn't there; gets `windows.train.inter`, `windows.validation.inter` and `windows.item`.
    train, validation
        Each `context` int `[n, length]` and `label` int `[n]`.
    num_movies
        Size of the catalogue, which `windows.item` lists, so that RecBole numbers all of it whatever the windows show.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, windows in (("train", train), ("validation", validation)):
        with (folder / f"{DATA_SET}.{name}.inter").open("w", encoding="ascii") as file:
            file.write("user_id:token\titem_id_list:token_seq\titem_id:token\n")
            for context, label in zip(windows["context"].tolist(), windows["label"].tolist(), strict=True):
                # These models don't look at the user, but RecBole wants one.
                file.write(f"1\t{' '.join(str(movie) for movie in context if movie)}\t{label}\n")
    movies = "".join(f"{movie}\n" for movie in range(1, num_movies + 1))
    (folder / f"{DATA_SET}.item").write_text(f"item_id:token\n{movies}", encoding="ascii")


def renumber(contexts: np.ndarray, item_of_movie: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Translate contexts into RecBole's item numbers.

    Parameters
    ----------
    contexts
        int `[m, length]`. A 0 can stand inside one, for a movie that train never shows: it is passed over.
    item_of_movie
        int `[num_movies + 1]`: RecBole's number of each movie index, 0 for 0.

    Returns
    -------
    tuple
        Items int64 `[m, length]`, post-padded with 0, and how many of them count, int64 `[m]`. RecBole knows no empty
        sequence: one without a known movie counts its first pad.
    """
    known = contexts > 0
    # A stable sort by "is a pad" moves the known movies to the front and keeps their order.
    order = np.argsort(~known, axis=1, kind="stable")
    items = item_of_movie[np.take_along_axis(contexts, order, axis=1)]
    return items.astype(np.int64), np.maximum(known.sum(axis=1), 1).astype(np.int64)


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
        Gets the data in RecBole's own format.
    request
        As in `request.json`.
    train, validation
        Each `context` int `[n, length]` and `label` int `[n]`.
    contexts
        int `[m, length]`.

    Returns
    -------
    tuple
        Scores float32 `[m, num_movies]`, by the weights of the best epoch; and how many epochs there were, with the
        best validation recall@10 (the context's own movies left out).
    """
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.data.interaction import Interaction
    from recbole.utils import get_model, get_trainer, init_seed

    # A module that RecBole imports along with all others, SINE's, switches this debugging aid on for the whole process,
    # which doubles the time of a step.
    torch.autograd.set_detect_anomaly(False)
    write_atomic_files(folder / DATA_SET, train, validation, request["num_movies"])

    class LeavesContextOut(get_model(request["model"])):  # type: ignore[misc]
        """The library's model, stopped by the figure that this project's watches: the context's own movies left out."""

        def full_sort_predict(self, interaction: Interaction) -> torch.Tensor:
            scores = super().full_sort_predict(interaction)
            return scores.scatter(1, interaction[self.ITEM_SEQ], -torch.inf)

        def all_scores(self, interaction: Interaction) -> torch.Tensor:
            return super().full_sort_predict(interaction)

    config = Config(
        model=request["model"],
        dataset=DATA_SET,
        config_dict=recbole_settings(folder, request["seed"], contexts.shape[1]) | request["options"],
    )
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    if dataset.item_num != request["num_movies"] + 1:
        raise RuntimeError(f"RecBole numbers {dataset.item_num - 1} movies of {request['num_movies']}")
    to_fit, to_stop_on, _ = data_preparation(config, dataset)
    model = LeavesContextOut(config, dataset).to(config["device"])
    best, best_weights, epochs = -np.inf, model.state_dict(), 0

    def keep_best(epoch: int, recall: float) -> None:
        nonlocal best, best_weights, epochs
        epochs = epoch + 1
        if recall >= best:
            best, best_weights = recall, copy.deepcopy(model.state_dict())
        print(f"epoch {epochs}: validation recall@10 {recall:.4f}", file=sys.stderr, flush=True)

    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(to_fit, to_stop_on, verbose=False, saved=False, callback_fn=keep_best)
    model.load_state_dict(best_weights)
    model.eval()

    movies = np.arange(1, request["num_movies"] + 1).astype(str)
    columns = dataset.token2id(dataset.iid_field, movies)
    items, lengths = renumber(contexts, np.concatenate([[0], columns]))
    parts = []
    with torch.no_grad():
        for start in range(0, len(items), _SCORE_BATCH):
            rows = slice(start, start + _SCORE_BATCH)
            batch = Interaction(
                {model.ITEM_SEQ: torch.from_numpy(items[rows]), model.ITEM_SEQ_LEN: torch.from_numpy(lengths[rows])}
            )
            parts.append(model.all_scores(batch.to(config["device"])).cpu().numpy()[:, columns])
    return np.concatenate(parts).astype(np.float32), {"epochs": epochs, "validation_recall": float(best)}


def recbole_settings(folder: Path, seed: int, length: int) -> dict[str, Any]:
    """Return what RecBole has to be told whatever the model; all else is the library's own default.

    Parameters
    ----------
    folder
        Holds the data set's folder.
    seed
        Fixes weights, dropout and batches.
    length
        Movies in a context at most.
    """
    return {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        # RecBole wants three files. The third, its test, is not asked for anything: scores are ranked elsewhere.
        "benchmark_filename": ["train", "validation", "validation"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"], "item": ["item_id"]},
        "alias_of_item_id": ["item_id_list"],
        "MAX_ITEM_LIST_LENGTH": length,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "metrics": ["Recall"],
        "topk": [10],
        "valid_metric": "Recall@10",
        "use_gpu": False,
        "show_progress": False,
        "seed": seed,
    }
