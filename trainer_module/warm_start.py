"""Starting a training from the served model: known movies keep their rows, new ones start from what is known of them.

What a model learnt is read from its export: weights and ids from the variables of its SavedModel, and its settings and
the spans it learnt from out of its export record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy.sparse
import tensorflow as tf
from numpy.typing import NDArray

from data.movie_ids import MovieId, id_array, is_text, plain_id
from serving.export_record import ExportRecord, read_record
from serving.training_record import TrainingRecord
from trainer_module.dataset import Windows
from trainer_module.model import CANDIDATES, EMBEDDING
from trainer_module.ppmi_init import mutual_information
from trainer_module.settings import ModelSettings, RollingSettings

NewRows = Literal["counts", "features", "zeros"]
"""What new movies start from: see `RollingSettings.new_rows`."""

RIDGE = 1.0
"""What is added to the diagonal of the normal equations of the map, so that genres that few movies bear, or that always
occur together, do no harm."""

_LEAST_SPREAD = 1e-9
"""Columns that vary less are constant, but for rounding, and are not stretched."""

_YEAR_ORIGIN, _YEAR_UNIT = 1990, 20.0
"""Years are counted in units in which they are about as large as the other features."""

_ANY_START = ("dropout", "counted_embeddings")
"""Settings of the towers that weights don't depend on."""

_VARIABLE = "/.ATTRIBUTES/VARIABLE_VALUE"
"""The end of a variable's key in a checkpoint of objects, behind the names of the attributes that lead to it."""


class CanNotStartError(Exception):
    """A model can't be started from; the message says why, in a phrase."""


@dataclass(frozen=True)
class Learnt:
    """What a model learnt.

    Attributes
    ----------
    movie_ids
        `[num_movies]`: its vocabulary, int64 or byte strings.
    weights
        By the names of `trainer_module.model.weights_of`.
    span
        The newest span that it learnt from; None where that is not known.
    """

    movie_ids: NDArray[Any]
    weights: Mapping[str, NDArray[np.float32]]
    span: int | None = None


@dataclass(frozen=True)
class Beginning:
    """How a training begins.

    Attributes
    ----------
    learnt
        What it starts from; None from the beginning.
    vanished
        `[n]`: movies that the served model knew, that the train examples no longer hold, and that stay.
    record
        The same in words and numbers, for the export.
    """

    learnt: Learnt | None
    vanished: NDArray[Any]
    record: TrainingRecord


def choose_beginning(
    base_model: str | None,
    rolling: RollingSettings | None,
    model: ModelSettings,
    movie_ids: NDArray[Any],
    *,
    max_context_length: int,
    data_set: str,
    spans: Mapping[int, int] | None = None,
    cold: str | None = None,
    revisions: Mapping[int, int] | None = None,
) -> Beginning:
    """Decide whether a training starts from the served model, and with which movies.

    Parameters
    ----------
    base_model
        The served model's export, a path that TensorFlow's file layer knows; None where there is none.
    rolling
        The settings; None where models don't follow each other.
    model
        The towers that will be trained.
    movie_ids
        `[num_movies]`: ids that the train examples hold.
    max_context_length
        The contexts' length.
    data_set
        The release, or the name of own data: ids of another one mean other movies.
    spans
        The spans of the examples, each with its revision; none where they are of no span.
    cold
        Why it starts from the beginning, whatever is served; None where nothing speaks against a warm start.
    revisions
        The revisions that spans have by now of which a user was forgotten: a model that learnt from an earlier one is
        not started from.
    """
    towers = model.model_dump(mode="json")
    spans = spans or {}
    span = max(spans, default=None)
    from_nothing = TrainingRecord(
        model=towers, start="cold", rows_new=len(movie_ids), span=span, spans=tuple(sorted(spans.items()))
    )
    if rolling is None:
        return Beginning(None, movie_ids[:0], from_nothing)
    record = read_record(base_model) if base_model is not None else ExportRecord()
    try:
        if cold is not None:
            raise CanNotStartError(cold)
        if base_model is None:
            raise CanNotStartError("no model is served yet")
        if not rolling.warm:
            raise CanNotStartError("rolling.warm is off")
        forgotten = record.training.outdated(revisions or {}) if record.training is not None else []
        if forgotten:
            raise CanNotStartError(
                f"the served model learnt from users who were forgotten since (spans {', '.join(map(str, forgotten))})"
            )
        other = why_other(record, model, is_text(movie_ids), max_context_length, data_set)
        if other is not None:
            raise CanNotStartError(other)
        learnt = replace(read_learnt(base_model), span=record.training.span if record.training else None)
    except CanNotStartError as why:
        return Beginning(None, movie_ids[:0], from_nothing.model_copy(update={"reason": str(why)}))
    last_seen = last_seen_in(record.training, learnt.movie_ids, movie_ids)
    vanished = {
        movie_id: seen
        for movie_id, seen in last_seen.items()
        if span is not None and seen is not None and span - seen <= rolling.keep_vanished
    }
    rows_known = int(np.isin(movie_ids, learnt.movie_ids).sum())
    return Beginning(
        learnt,
        id_array(vanished, text=is_text(movie_ids)),
        TrainingRecord(
            model=towers,
            start="warm",
            rows_kept=rows_known + len(vanished),
            rows_new=len(movie_ids) - rows_known,
            rows_vanished=len(vanished),
            rows_dropped=len(last_seen) - len(vanished),
            span=span,
            last_seen=tuple(vanished.items()),
            spans=tuple(sorted({**(record.training.learnt if record.training else {}), **spans}.items())),
        ),
    )


def why_other(
    record: ExportRecord, model: ModelSettings, text: bool, max_context_length: int, data_set: str
) -> str | None:
    """Return why a served model's weights do not fit, in a phrase; None where they do.

    Parameters
    ----------
    record
        What its export says.
    model, text, max_context_length, data_set
        The towers that will be trained, whether ids are texts, the contexts' length, and the data.
    """
    if record.training is None or record.data is None:
        return "the served model's export does not say how it was trained"
    if record.data.data_set != data_set:
        return f"the served model is of {record.data.data_set}, and the data are of {data_set}"
    if isinstance(record.pad_movie_id, str) is not text:
        return "the served model's ids are of the other kind"
    if record.max_context_length != max_context_length:
        return f"max_context_length was {record.max_context_length} and is {max_context_length}"
    # What there was no setting for, models did as its default does.
    was, now = ModelSettings().model_dump(mode="json") | record.training.model, model.model_dump(mode="json")
    found = [
        f"model.{name} was {was.get(name)} and is {now.get(name)}"
        for name in dict.fromkeys([*now, *was])
        if name not in _ANY_START and was.get(name) != now.get(name)
    ]
    return ", ".join(found) or None


def last_seen_in(
    training: TrainingRecord | None, served: NDArray[Any], movie_ids: NDArray[Any]
) -> dict[MovieId, int | None]:
    """Return the movies that a served model knows and that the train examples don't hold.

    Parameters
    ----------
    training
        How the served model was trained.
    served, movie_ids
        Ids that the served model knows, and that the examples hold.

    Returns
    -------
    dict
        Each with the newest span of the last training whose examples held it, in the served model's order; None where
        that is not known.
    """
    earlier = dict(training.last_seen) if training is not None else {}
    newest = training.span if training is not None else None
    gone = [plain_id(movie_id) for movie_id in served[~np.isin(served, movie_ids)].tolist()]
    return {movie_id: earlier.get(movie_id, newest) for movie_id in gone}


def read_learnt(export: str) -> Learnt:
    """Return what an exported model learnt.

    Parameters
    ----------
    export
        The SavedModel's folder, a local path or one that TensorFlow's file layer knows.

    Raises
    ------
    CanNotStartError
        Its variables can't be read, are not all there, or are no numbers.
    """
    prefix = "_query_variables/"
    try:
        variables = tf.train.load_checkpoint(f"{export}/variables/variables")
        keys = [key.removesuffix(_VARIABLE) for key in variables.get_variable_to_shape_map() if key.endswith(_VARIABLE)]
        weights = {
            key.removeprefix(prefix): variables.get_tensor(f"{key}{_VARIABLE}")
            for key in keys
            if key.startswith(prefix)
        }
        weights[CANDIDATES] = variables.get_tensor(f"_candidates{_VARIABLE}")
        ids = variables.get_tensor(f"_movie_id{_VARIABLE}")
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CanNotStartError(f"the served model's variables can't be read ({str(error).splitlines()[0]})") from error
    if EMBEDDING not in weights or not len(weights[EMBEDDING]) - 1 == len(weights[CANDIDATES]) == len(ids):
        raise CanNotStartError("the served model's variables are not all there")
    if not all(np.isfinite(weight).all() for weight in weights.values()):
        raise CanNotStartError("weights of the served model are no numbers")
    return Learnt(ids.astype(np.bytes_) if is_text(ids) else ids, weights)


def grown_weights(
    learnt: Learnt,
    movie_ids: NDArray[Any],
    windows: Windows,
    years: NDArray[np.int64],
    genres: Sequence[Sequence[str]],
    new_rows: NewRows,
) -> dict[str, NDArray[np.float32]]:
    """Return what a model learnt, for another vocabulary.

    Known movies keep their rows. With `counts`, a new one's row is, by a map that is fitted to the known rows by least
    squares, a function of the mean of the known movies' rows by its mutual information with them, of the logarithm of
    its count as a label, and of genres and year; where it stands beside no known movie, as with `features`, of genres
    and year alone.

    Parameters
    ----------
    learnt
        What to start from.
    movie_ids
        `[num_movies]`: the new vocabulary, of the same kind of ids.
    windows
        The train windows in that vocabulary; some of its movies may stand in none.
    years
        int64 `[num_movies]`: 0 where unknown.
    genres
        `[num_movies]`: each movie's genres.
    new_rows
        What new movies start from.

    Returns
    -------
    dict
        By the names of `trainer_module.model.weights_of`, for `num_movies` movies.
    """
    embedding, candidates = learnt.weights[EMBEDDING], learnt.weights[CANDIDATES]
    place = places_in(learnt.movie_ids, movie_ids)
    known = place >= 0
    width = embedding.shape[1]
    # A movie's rows in both towers side by side.
    rows = np.zeros((len(movie_ids), width + candidates.shape[1]))
    rows[known] = np.hstack([embedding[1:], candidates])[place[known]]
    if new_rows != "zeros" and known.any() and not known.all():
        described = describe(years, genres)
        rows[~known] = mapped_rows(described, rows, known)[~known]
        if new_rows == "counts":
            information = mutual_information(windows, len(movie_ids))
            counts = np.bincount(windows.label, minlength=len(movie_ids) + 1)[1:]
            beside, is_beside = mean_of_known(information, rows[:, :width], known)
            counted = np.column_stack([beside, np.log1p(counts), described])
            # The map is fitted to movies of which as much is known as of those that it is for.
            fitted = known & is_beside
            if fitted.any():
                mapped = mapped_rows(counted, rows, fitted)
                rows[~known & is_beside] = mapped[~known & is_beside]
    grown = np.concatenate([embedding[:1], rows[:, :width].astype(np.float32)])
    return {
        **{name: weight for name, weight in learnt.weights.items() if name not in (EMBEDDING, CANDIDATES)},
        EMBEDDING: grown,
        CANDIDATES: rows[:, width:].astype(np.float32),
    }


def places_in(vocabulary: NDArray[Any], movie_ids: NDArray[Any]) -> NDArray[np.int64]:
    """Return the places of movies in a vocabulary of distinct ids, int64 `[n]`; -1 for those that it lacks."""
    if not len(vocabulary):
        return np.full(len(movie_ids), -1, np.int64)
    order = np.argsort(vocabulary, kind="stable")
    found = order[np.minimum(np.searchsorted(vocabulary, movie_ids, sorter=order), len(vocabulary) - 1)]
    return np.where(vocabulary[found] == movie_ids, found, -1)


def describe(years: NDArray[np.int64], genres: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return what is known of movies before anybody watches them, float64 `[num_movies, num_features]`.

    A one, whether the year is known, the year in units of twenty since 1990 and its square, and a one for each genre.
    """
    names = {name: column for column, name in enumerate(sorted({name for of_movie in genres for name in of_movie}))}
    has_genre = np.zeros((len(years), len(names)))
    for movie, of_movie in enumerate(genres):
        has_genre[movie, [names[name] for name in of_movie]] = 1
    dated = years != 0
    year = np.where(dated, (years - _YEAR_ORIGIN) / _YEAR_UNIT, 0.0)
    return np.column_stack([np.ones(len(years)), dated, year, year**2, has_genre])


def mean_of_known(
    information: scipy.sparse.csr_matrix, rows: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean of the known movies' rows that each movie stands beside, by its mutual information with them.

    Parameters
    ----------
    information
        float64 `[num_movies, num_movies]`, not negative.
    rows
        float64 `[num_movies, dim]`.
    known
        bool `[num_movies]`.

    Returns
    -------
    tuple
        float64 `[num_movies, dim]`, zero where a movie stands beside no other that is known, and whether it does, bool
        `[num_movies]`.
    """
    others = information - scipy.sparse.diags(information.diagonal())
    weights = others @ scipy.sparse.diags(known.astype(np.float64))
    totals = np.asarray(weights.sum(axis=1)).ravel()
    is_beside = totals > 0
    return (weights @ rows) / np.where(is_beside, totals, 1.0)[:, np.newaxis], is_beside


def mapped_rows(
    described: NDArray[np.float64], rows: NDArray[np.float64], fitted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return rows as a linear function of what movies are described by, fitted by least squares with a small ridge.

    With X and Y for the descriptions and the rows of the movies to fit, the map is (X'X + RIDGE I)^-1 X'Y. What it
    gives lies nearer to the mean than rows do, and so short a row is never offered: each column is stretched about its
    mean, until over the fitted movies it varies as much as their rows.

    Parameters
    ----------
    described
        float64 `[num_movies, num_features]`.
    rows
        float64 `[num_movies, dim]`.
    fitted
        bool `[num_movies]`: the movies to fit the map to, at least one.

    Returns
    -------
    NDArray[np.float64]
        float64 `[num_movies, dim]`, of all movies.
    """
    features = described[fitted]
    normal = features.T @ features + RIDGE * np.eye(features.shape[1])
    mapped = described @ np.linalg.solve(normal, features.T @ rows[fitted])
    mean, spread = mapped[fitted].mean(axis=0), mapped[fitted].std(axis=0)
    stretch = np.divide(rows[fitted].std(axis=0), spread, out=np.ones_like(spread), where=spread > _LEAST_SPREAD)
    return mean + (mapped - mean) * stretch


def windows_to_learn(windows: Windows, is_new: NDArray[np.bool_], replay: float, seed: int) -> Windows:
    """Return the windows that a warm training learns from: the new ones, and older ones by chance.

    Parameters
    ----------
    windows
        All train windows.
    is_new
        bool `[num_windows]`: those that the served model hasn't learnt from. Where there are none, all are taken.
    replay
        How many older ones to take for each new one, rounded down, as far as there are so many.
    seed
        Fixes the choice.
    """
    if not is_new.any():
        return windows
    older = np.flatnonzero(~is_new)
    taken = min(len(older), int(replay * is_new.sum()))
    drawn = np.random.default_rng(seed).choice(older, taken, replace=False)
    return windows.take(np.union1d(np.flatnonzero(is_new), drawn))
