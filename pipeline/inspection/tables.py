"""Figures as rows of tables, the same at the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence

from components.statistics.feature_statistics import FeatureStatistics, SplitStatistics
from data.features import Kind
from data.releases.catalogue import Catalogue
from data.words import Words

Named = Sequence[tuple[str, SplitStatistics]]
"""Splits with the names that they are shown under."""

_KINDS: dict[Kind, str] = {"movie": "Ids", "number": "Numbers", "category": "Categories"}
_HEADS = (10, 100, 1000)


def overview_rows(splits: Named, words: Words) -> list[list[str]]:
    """Return a row for each figure and a column for each split, the names of the figures first."""
    movies = max((split.features["label_movie_id"].distinct for _, split in splits), default=0)
    rows = [
        ["examples", *(f"{split.examples:,}" for _, split in splits)],
        [f"{words.many} that are a label", *(f"{split.features['label_movie_id'].distinct:,}" for _, split in splits)],
        ["labels that train never shows", *(f"{split.unseen_label_share:.2%}" for _, split in splits)],
        ["padding in contexts", *(f"{split.features['context_movie_id'].padding_share:.1%}" for _, split in splits)],
        [f"context {words.many} of unknown year", *(f"{split.unknown_year_share:.1%}" for _, split in splits)],
    ]
    rows += [
        [
            f"labels that are the {count:,} most frequent {words.many}",
            *(f"{split.head_share(count):.1%}" for _, split in splits),
        ]
        for count in _HEADS
        if count < movies
    ]
    return rows


def feature_tables(splits: Named, catalogue: Catalogue) -> list[tuple[str, list[list[str]]]]:
    """Return for each kind of feature its name and a table, header first.

    The header names the columns after the feature's; a row has the feature's name in front of them. Movies are named
    by title.
    """
    tables = []
    for kind, title in _KINDS.items():
        header = ["split", "values", "missing", "padding", "distinct"]
        header += ["mean", "std", "min", "median", "max"] if kind == "number" else ["most frequent", "share"]
        rows = [
            [feature.name, name, *_cells(feature, catalogue)]
            for feature_name in dict.fromkeys(name for _, split in splits for name in split.features)
            for name, split in splits
            if (feature := split.features.get(feature_name)) is not None and feature.kind == kind
        ]
        if rows:
            tables.append((title, [header, *rows]))
    return tables


def _cells(feature: FeatureStatistics, catalogue: Catalogue) -> list[str]:
    cells = [
        f"{feature.values:,}",
        f"{feature.missing:,}",
        f"{feature.padding_share:.1%}",
        f"{feature.distinct:,}",
    ]
    if feature.kind == "number":
        numbers = feature.numbers
        if numbers is None:
            return [*cells, *[""] * 5]
        described = (numbers.mean, numbers.std, numbers.min, numbers.median, numbers.max)
        return [*cells, *(f"{value:.2f}".removesuffix(".00") for value in described)]
    first = next(feature.top(1), None)
    if first is None:
        return [*cells, "", ""]
    value, _, share = first
    return [*cells, catalogue.title_of(value) if feature.kind == "movie" else value, f"{share:.2%}"]
