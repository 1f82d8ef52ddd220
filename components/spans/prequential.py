"""The served model's figures on a new span, before anything is learned from it.

Test first, then train: over the spans, these figures are the prequential estimate of what those who are served got
(A. P. Dawid, "Present position and potential developments", 1984). All labels of the span count, since the served model
has seen none of them.
"""

import json
import math

from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.artifacts import PrequentialFigures
from components.evaluation.metric_names import NDCG, QUERIES, RECALL
from components.evaluation.rank_sums import RankSums
from components.spans.measuring import add_up, answers_of
from serving.artifact_files import example_files

FIGURES_FILE = "figures.json"
"""Metrics by name, where a model was served."""

CURVE = (RECALL, NDCG, QUERIES)
"""The metrics that are properties of the artifact too, so that the curve stays when old files are deleted."""


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
        splits = artifact_utils.decode_split_names(examples.split_names)
        sums = RankSums()
        files = [file for split in splits for file in example_files(examples.uri, split)]
        for (outputs,) in answers_of([model.uri], files):
            add_up(sums, outputs)
        metrics = {name: value for name, value in sums.metrics().items() if math.isfinite(value)}
    figures.set_int_custom_property("span", examples.get_int_custom_property("span"))
    for name in CURVE:
        if name in metrics:
            figures.set_float_custom_property(name, float(metrics[name]))
    with tfx.dsl.io.fileio.open(f"{figures.uri}/{FIGURES_FILE}", "w") as file:
        json.dump(metrics, file, allow_nan=False)
