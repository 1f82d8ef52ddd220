"""What TensorBoard shows of a training beside its curves: hyper-parameters, and the movies' embeddings.

All of it lies in the folder of the curves, which is the artifact ModelRun in a run of the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from pydantic import BaseModel
from tensorboard.plugins import projector
from tensorboard.plugins.hparams import api as hparams

from data.movie_ids import MovieId, plain_id
from data.releases.catalogue import Catalogue

TENSOR_FILE = "candidates.tsv"
METADATA_FILE = "candidates-metadata.tsv"

METADATA_COLUMNS = ("title", "year", "genres", "movie_id", "popularity_rank")
"""The first one labels the points."""

_MOST_MOVIES = 10_000
"""Movies that are written, the most frequent ones: a browser draws no more, and they take some megabytes."""


def write_hyperparameters(folder: str, groups: Mapping[str, BaseModel]) -> None:
    """Write settings as TensorBoard's hyper-parameters, named as in a configuration: `model.dropout`.

    Parameters
    ----------
    folder
        Of the logs, a local path or one that TensorFlow's file layer knows.
    groups
        Settings by the name of their group. TensorBoard knows numbers, texts and whether: None becomes `null`.
    """
    values = {
        f"{group}.{name}": "null" if value is None else value
        for group, settings in groups.items()
        for name, value in settings.model_dump().items()
    }
    with tf.summary.create_file_writer(folder).as_default() as writer:
        hparams.hparams(values)
        writer.close()


def write_projector(folder: str, candidates: np.ndarray, movie_ids: np.ndarray, catalogue: Catalogue) -> None:
    """Write candidate embeddings for TensorBoard's projector.

    Parameters
    ----------
    folder
        Of the logs, a local path or one that TensorFlow's file layer knows.
    candidates
        float32 `[num_movies, dim]`. The cosine of two rows is the score of the signature `similar`.
    movie_ids
        `[num_movies]`: the vocabulary, most frequent first.
    catalogue
        Names the movies.
    """
    ids = [plain_id(movie_id) for movie_id in movie_ids[:_MOST_MOVIES].tolist()]
    rows = ["\t".join(f"{value:.6g}" for value in row) for row in candidates[: len(ids)].tolist()]
    _write_lines(f"{folder}/{TENSOR_FILE}", rows)
    _write_lines(f"{folder}/{METADATA_FILE}", metadata_lines(ids, catalogue))
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "candidates"
    embedding.tensor_path = TENSOR_FILE
    embedding.metadata_path = METADATA_FILE
    projector.visualize_embeddings(folder, config)


def metadata_lines(movie_ids: Sequence[MovieId], catalogue: Catalogue) -> list[str]:
    """Return the header and a line for each movie, with tabs between cells; those in a cell become blanks."""
    lines = ["\t".join(METADATA_COLUMNS)]
    for rank, movie_id in enumerate(movie_ids, start=1):
        movie = catalogue.movie(movie_id)
        cells = (movie.title, movie.year or "", "|".join(movie.genres), movie_id, rank)
        lines.append("\t".join(" ".join(str(cell).split()) for cell in cells))
    return lines


def _write_lines(path: str, lines: Sequence[str]) -> None:
    with tf.io.gfile.GFile(path, "w") as file:
        file.write("\n".join(lines) + "\n")
