"""The export record: the format of an exported model, and the data that it was fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tensorflow as tf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import InputError
from data.features import PAD_MOVIE_ID
from data.identity import DataIdentity
from data.movie_ids import MovieId
from data.words import MOVIES, Words
from serving.training_record import TrainingRecord

RECORD_FILE = "assets.extra/export.json"
"""Where the record lies in a SavedModel's folder."""

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
"""Requests that a server replays before it answers, in a SavedModel's folder: the place is TensorFlow Serving's."""

FORMAT = 2
"""The current format: to be raised when later code relies on something that exports of this format don't do.

In format 1, which has no record, `evaluate` ranks contexts of the training data's length only, and an answer is as
short as the shortest of its batch.
"""

_RANKS_ANY_LENGTH = 2


class ExportRecord(BaseModel):
    """An export's form and the data it was fitted to.

    Attributes
    ----------
    format
        Counts up when the export's signatures change. Exports without a record are of format 1.
    max_context_length
        How many of a history's last movies the model reads; None where it reads all.
    reads
        Whether it reads these last movies alone, or the whole history, of any length.
    pad_movie_id
        What stands for no movie in requests and answers: a text where ids are texts. No movie has this id.
    words
        What the data set's items are called.
    data
        The identity of the data; None in exports without a record.
    training
        How it was trained; None in exports of earlier versions.
    """

    # A later version's record may say more.
    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Annotated[int, Field(strict=True)] = 1
    max_context_length: int | None = None
    reads: Literal["context", "history"] = "context"
    pad_movie_id: MovieId = PAD_MOVIE_ID
    words: Words = MOVIES
    data: DataIdentity | None = None
    training: TrainingRecord | None = None

    @property
    def ranks_any_length(self) -> bool:
        """Whether the signature `evaluate` takes examples of any context length; else of the model's own only."""
        return self.format >= _RANKS_ANY_LENGTH


def read_record(model: str | Path) -> ExportRecord:
    """Return what a SavedModel says of itself; that of format 1 where it says nothing that can be read.

    Parameters
    ----------
    model
        The SavedModel's folder, a local path or one that TensorFlow's file layer knows.

    Raises
    ------
    InputError
        There may be a record, but it can't be read.
    """
    try:
        with tf.io.gfile.GFile(f"{model}/{RECORD_FILE}", "rb") as file:
            return ExportRecord.model_validate_json(file.read())
    except (tf.errors.NotFoundError, ValidationError):
        return ExportRecord()
    except tf.errors.OpError as error:
        # Not to be taken for an export without a record: that may be no model to compare with.
        raise InputError(
            f"{model}/{RECORD_FILE} can't be read: give access to it ({error.message})", code="M09"
        ) from error


def copy_record(model: Path, target: Path) -> None:
    """Copy the record alone to where it would lie in another SavedModel's folder."""
    (target / RECORD_FILE).parent.mkdir(parents=True, exist_ok=True)
    (target / RECORD_FILE).write_text(read_record(model).model_dump_json(), encoding="utf-8")
