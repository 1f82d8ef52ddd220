"""The arithmetic of a training step, counted from its matrix products."""

from __future__ import annotations

import numpy as np

from trainer_module.settings import ModelSettings

_PRODUCTS = 3
"""A product forward has two backward, one for each factor's gradient."""


def step_flops(model: ModelSettings, num_movies: int, batch: tuple[np.ndarray, ...]) -> float:
    """Return the floating-point operations of a step, forward and backward.

    Counted are the products of the GRU, of its state with the embeddings' width, and of queries with candidates: a
    multiplication and an addition for each of their terms. What is done entry by entry, and the optimiser, is not.

    Parameters
    ----------
    model
        The towers and the loss.
    num_movies
        Size of the catalogue.
    batch
        What a step reads: contexts `[batch, length]` and labels `[batch]`, or movies `[chunks, length]` and which of
        them are labels, bool of the same shape; what else a batch holds is not multiplied.
    """
    movies, label, *_ = batch
    if label.dtype == bool:
        # Behind its last movie a chunk has no label, so that the GRU doesn't read it. Pads are read like movies.
        num_labels, num_read = np.count_nonzero(label), len(movies) * (movies.shape[1] - 1)
    else:
        num_labels, num_read = len(label), len(movies) * min(model.gru_reads, movies.shape[1])
    units = model.gru_units or model.embedding_dim
    read = 3 * units * (model.embedding_dim + units)
    projected = units * model.embedding_dim if model.gru_units else 0
    num_candidates = num_movies + 1 if model.loss == "full_softmax" else num_labels
    scored = num_candidates * (model.embedding_dim + model.item_bias)
    return 2.0 * _PRODUCTS * (num_read * read + num_labels * (projected + scored))
