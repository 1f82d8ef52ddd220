"""A model's answers to all queries of some examples, by its own `evaluate` signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.utils import path_utils

from components.evaluation.rank_sums import RANK_OUTPUTS, RankSums

_BATCH = 1_024

Outputs = Mapping[str, np.ndarray]
"""What `evaluate` says of some queries, by name."""


def answers_of(models: list[str], files: list[str]) -> Iterator[list[Outputs]]:
    """Yield, batch by batch, what each model says of the same queries.

    Parameters
    ----------
    models
        Folders of Model artifacts.
    files
        Compressed TFRecord files of examples.
    """
    signatures = [tf.saved_model.load(path_utils.serving_model_path(model)).signatures["evaluate"] for model in models]
    for batch in tf.data.TFRecordDataset(files, compression_type="GZIP").batch(_BATCH):
        yield [{name: value.numpy() for name, value in evaluate(examples=batch).items()} for evaluate in signatures]


def add_up(sums: RankSums, outputs: Mapping[str, Any]) -> None:
    """Add a batch's answers to sums that metrics are made from."""
    pads = set(np.ravel(outputs["pad_movie_id"]).tolist())
    sums.add(
        {name: outputs[name] for name in RANK_OUTPUTS if name in outputs},
        set(np.ravel(outputs["top_movie_id"]).tolist()) - pads,
        int(np.max(outputs["catalogue_size"])),
    )
