"""Which of two models of the same data is judged further: the warm training's, or that of a cold one beside it."""

import logging

import numpy as np
from tfx import v1 as tfx

from components.artifacts import ColdChoice
from components.evaluation.metric_names import QUERIES, RECALL
from components.evaluation.paired_difference import paired_difference
from components.evaluation.rank_sums import NDCG_CUTOFF, RankSums, is_hit
from components.gate_settings import ModelGateSettings
from components.history.spans import COLD_WINS
from components.spans.choice import CHOICE_FILE, choose
from components.spans.measuring import Outputs, add_up, answers_of
from serving.artifact_files import example_files

logger = logging.getLogger("next_movie.spans")


@tfx.dsl.components.component
def ColdComparison(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    warm: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    cold: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    choice: tfx.dsl.components.OutputArtifact[ColdChoice],
    settings: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
) -> None:
    """Compare both models on the eval split, which neither has seen, and write which one goes on.

    `settings` is a `ModelGateSettings` as JSON. `code_digest` only tells TFX's cache when this code changes.
    """
    sums = [RankSums(), RankSums()]
    total = squares = 0
    for answers in answers_of([warm.uri, cold.uri], example_files(examples.uri, "eval")):
        for added, outputs in zip(sums, answers, strict=True):
            add_up(added, outputs)
        gained, lost = _gained_and_lost(*answers)
        total += gained - lost
        squares += gained + lost
    metrics = [added.metrics() for added in sums]
    difference = paired_difference(round(metrics[0][QUERIES]), total, squares)
    gate = ModelGateSettings.model_validate_json(settings)
    found = choose(metrics[0][RECALL], metrics[1][RECALL], difference, gate)
    logger.info("%s", found.sentence)
    choice.set_int_custom_property(COLD_WINS, int(found.winner == "cold"))
    with tfx.dsl.io.fileio.open(f"{choice.uri}/{CHOICE_FILE}", "w") as file:
        file.write(found.model_dump_json())


def _gained_and_lost(warm: Outputs, cold: Outputs) -> tuple[int, int]:
    """Return how many queries the warm model hits and the cold one doesn't, and the other way round."""
    hits = [is_hit(np.ravel(of["rank"]), NDCG_CUTOFF, np.ravel(of["catalogue_size"])) for of in (warm, cold)]
    return int(np.sum(hits[0] & ~hits[1])), int(np.sum(hits[1] & ~hits[0]))
