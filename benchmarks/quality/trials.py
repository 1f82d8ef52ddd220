"""One trial of a search: a model fitted to a part of train, and watched on the rest, pass by pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tf_keras as keras

from pipeline.settings import Settings
from trainer_module.dataset import Windows
from trainer_module.timelines import TrainTimelines
from trainer_module.training import fit, queries_of, validation_recall


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes
    ----------
    recall
        Mean recall@10 over the seeds on what was held out, the movies that the model reads left out; of a pruned trial
        that after its last pass.
    passes
        How many passes the first seed took.
    pruned
        Whether it was given up.
    """

    recall: float
    passes: int
    pruned: bool


def fit_trial(
    seeded: Sequence[Settings],
    fitted: Windows | TrainTimelines,
    held_out: Windows | TrainTimelines,
    num_movies: int,
    *,
    should_prune: Callable[[int, float], bool],
) -> Result:
    """Fit settings that differ in their seeds.

    Parameters
    ----------
    seeded
        At least one.
    fitted, held_out
        Train windows or timelines to fit, and those to rank.
    num_movies
        Size of the vocabulary.
    should_prune
        Is told recall@10 after each pass of the first seed, with the pass's number from 1, and returns whether to give
        up.

    Raises
    ------
    InputError
        The loss or a weight became infinite or NaN.
    """
    queries = queries_of(held_out, seeded[0].model)
    reports = _Reports(queries, should_prune)
    recalls: list[float] = []
    for settings in seeded:
        callbacks = [] if recalls else [reports]
        model = fit(fitted, num_movies, settings.model, settings.training, callbacks=callbacks)
        if reports.pruned:
            return Result(reports.recall, reports.passes, pruned=True)
        recalls.append(validation_recall(model, queries))
    return Result(float(np.mean(recalls)), reports.passes, pruned=False)


class _Reports(keras.callbacks.Callback):
    """Reports recall@10 after each pass, and ends training when told to."""

    def __init__(self, held_out: Windows | TrainTimelines, should_prune: Callable[[int, float], bool]) -> None:
        super().__init__()
        self._held_out = held_out
        self._should_prune = should_prune
        self.recall = 0.0
        self.passes = 0
        self.pruned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.passes = epoch + 1
        self.recall = validation_recall(self.model, self._held_out)
        self.pruned = self._should_prune(self.passes, self.recall)
        self.model.stop_training = self.model.stop_training or self.pruned
