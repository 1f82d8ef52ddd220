"""The served model's figures on a new span, before anything is learned from it.

Test first, then train: over the spans, these figures are the prequential estimate of what those who are served got
(A. P. Dawid, "Present position and potential developments", 1984). All labels of the span count, since the served model
has seen none of them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tfx import v1 as tfx
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.artifacts import PrequentialFigures
from components.evaluation.rank_sums import RANK_OUTPUTS, RankSums
from serving.artifact_files import example_files

FIGURES_FILE = "figures.json"
"""Metrics by name, where a model was served."""

_BATCH = 1_024


@tfx.dsl.components.component
def PrequentialEvaluation(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    figures: tfx.dsl.components.OutputArtifact[PrequentialFigures],
    code_digest: tfx.dsl.components.Parameter[str],
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model] = None,
) -> None:
    """Measure the served model on all splits of the examples; where none is served, write no figures.

    `code_digest` only tells TFX's cache when this code changes.
    """
    metrics: dict[str, float] = {}
    if model is not None:
        evaluate = tf.saved_model.load(path_utils.serving_model_path(model.uri)).signatures["evaluate"]
        splits = artifact_utils.decode_split_names(examples.split_names)
        sums = RankSums()
        for batch in _batches([file for split in splits for file in example_files(examples.uri, split)]):
            _add(sums, {name: value.numpy() for name, value in evaluate(examples=batch).items()})
        metrics = {name: value for name, value in sums.metrics().items() if math.isfinite(value)}
    figures.set_int_custom_property("span", examples.get_int_custom_property("span"))
    with tfx.dsl.io.fileio.open(f"{figures.uri}/{FIGURES_FILE}", "w") as file:
        json.dump(metrics, file, allow_nan=False)


def _batches(files: list[str]) -> Iterator[tf.Tensor]:
    yield from tf.data.TFRecordDataset(files, compression_type="GZIP").batch(_BATCH)


def _add(sums: RankSums, outputs: Mapping[str, Any]) -> None:
    pads = set(np.ravel(outputs["pad_movie_id"]).tolist())
    sums.add(
        {name: outputs[name] for name in RANK_OUTPUTS if name in outputs},
        set(np.ravel(outputs["top_movie_id"]).tolist()) - pads,
        int(np.max(outputs["catalogue_size"])),
    )
