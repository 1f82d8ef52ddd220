"""The whole audit of examples and of the model that was fitted to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.audit.behaviour import Ask, CoWatching, K, ask_all, behaviour_figures
from components.audit.data_audit import SplitComparison, SplitTally, data_figures
from components.audit.figures import AuditResult
from components.audit.findings import find
from components.audit.windows import ExampleFolder, Windows, join
from components.gate_settings import AuditSettings
from data.movie_ids import NO_MOVIE, id_array, plain_id
from data.releases.catalogue import Catalogue
from serving.recommender import Recommender

_ASKED_AT_ONCE = 256
"""Queries at once: each is scored against the whole catalogue, in memory."""

_CO_WATCHED_IN = 1_000_000
"""Train windows in which co-watching is looked for. They lie in the order of a hash, so that the first are a sample."""


def run_audit(
    examples: ExampleFolder, ask: Ask, settings: AuditSettings, *, reads_histories: bool = False
) -> AuditResult:
    """Measure data, split and answers, and return what of it is out of bounds.

    Parameters
    ----------
    examples
        That the model was fitted to and is judged on.
    ask
        Asks the model.
    settings
        What is allowed, and how many queries are asked.
    reads_histories
        Whether the model is asked with whole histories, which the eval examples then hold; else with contexts.

    Raises
    ------
    InputError
        A file can't be read.
    """
    held_out, train = SplitTally(), SplitTally()
    comparison = SplitComparison(len(examples.catalogue))
    is_drawn = _draw(examples.manifest.counts.eval, settings)
    sample = _read_eval(examples, held_out, comparison, is_drawn)
    answers = ask_all(ask, sample, settings.seed, examples.histories("eval", is_drawn) if reads_histories else None)
    labels, is_miss = answers.windows.label, answers.is_miss
    co_watching = CoWatching(labels[is_miss], answers.plain[is_miss])
    looked_at = 0
    for windows in examples.windows("train"):
        train.add(windows)
        comparison.add_train(windows)
        if looked_at < _CO_WATCHED_IN:
            co_watching.add(windows)
        looked_at += len(windows)
    manifest = examples.manifest
    data = data_figures(train, held_out, comparison, manifest.times)
    behaviour = behaviour_figures(answers, genre_table(examples.catalogue), co_watching)
    return AuditResult(
        mode=settings.mode,
        data=data,
        behaviour=behaviour,
        findings=find(data, behaviour, settings, manifest.split, manifest.options.wording),
    )


def _draw(number: int, settings: AuditSettings) -> NDArray[np.bool_]:
    """Return which of the eval windows are asked about, as many as the settings say."""
    is_drawn = np.zeros(number, dtype=bool)
    is_drawn[np.random.default_rng(settings.seed).permutation(number)[: settings.queries]] = True
    return is_drawn


def _read_eval(
    examples: ExampleFolder, tally: SplitTally, comparison: SplitComparison, is_drawn: NDArray[np.bool_]
) -> Windows:
    """Count all eval windows, and return those that are drawn."""
    parts, start = [], 0
    for windows in examples.windows("eval"):
        tally.add(windows)
        comparison.add_eval(windows)
        parts.append(windows.take(np.flatnonzero(is_drawn[start : start + len(windows)])))
        start += len(windows)
    return join(parts)


def asker(recommender: Recommender, catalogue: Catalogue) -> Ask:
    """Return what asks a model about contexts of codes, and gives its answers as codes."""
    ids = [catalogue.pad, *map(plain_id, catalogue.ids.tolist())]

    def ask(contexts: NDArray[np.int64]) -> NDArray[np.int64]:
        answers = np.zeros((len(contexts), K), dtype=np.int64)
        for start in range(0, len(contexts), _ASKED_AT_ONCE):
            histories = [
                [ids[code] for code in context if code != NO_MOVIE]
                for context in contexts[start : start + _ASKED_AT_ONCE].tolist()
            ]
            offered, _ = recommender.recommend_ids(histories, K)
            codes = catalogue.codes_of(id_array(offered.ravel().tolist(), text=catalogue.has_texts))
            answers[start : start + len(histories), : offered.shape[1]] = codes.reshape(offered.shape)
        return answers

    return ask


def genre_table(catalogue: Catalogue) -> NDArray[np.bool_]:
    """Return whether a movie, by its code, is of a genre: `[1 + num_movies, num_genres]`."""
    place_of = {name: place for place, name in enumerate(catalogue.genre_names())}
    table = np.zeros((1 + len(catalogue), len(place_of)), dtype=bool)
    for code, genres in enumerate(catalogue.genres, start=1):
        table[code, [place_of[genre] for genre in genres]] = True
    return table
