"""A Trainer that makes no step: what reading the windows and exporting cost, and a model for the Evaluator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

from trainer_module import trainer
from trainer_module.dataset import Windows
from trainer_module.model import NextMovieModel
from trainer_module.settings import ModelSettings

if TYPE_CHECKING:
    from tfx import v1 as tfx


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Do all that the Trainer's own function does, but for the fit."""
    with mock.patch.object(trainer, "fit", _without_fit):
        trainer.run_fn(fn_args)


def _without_fit(windows: Windows, num_movies: int, settings: ModelSettings, *_: Any) -> NextMovieModel:
    return NextMovieModel(num_movies, windows.context.shape[1], settings)
