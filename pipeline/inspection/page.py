"""The page about data: one rendering for what `show`, `compare` and `validate` find."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from components.report import charts
from components.report.render import render_page
from data import features
from data.features import Feature
from data.releases.catalogue import Catalogue
from data.words import Words
from pipeline.inspection.tables import Named, feature_tables, overview_rows

if TYPE_CHECKING:
    # These bring TFDV and with it TensorFlow, which a page alone doesn't need.
    from pipeline.inspection.drift import Comparison
    from pipeline.inspection.validation import Anomaly, SchemaDifference

_TOP_MOVIES = 15
_YEARS_IN_A_BAR = 5


def render_inspection(
    title: str,
    splits: Named,
    catalogue: Catalogue,
    words: Words,
    *,
    lead: str = "",
    comparison: Comparison | None = None,
    anomalies: Sequence[Anomaly] | None = None,
    differences: Sequence[SchemaDifference] | None = None,
) -> str:
    """Return a self-contained page.

    Parameters
    ----------
    title, lead
        What the page is about.
    splits
        The figures, with the names that they are shown under.
    catalogue
        Names the movies.
    words
        What they are called.
    comparison, anomalies, differences
        Further findings; None where they were not asked for.
    """
    asked = [
        ("anomalies", "Anomalies", anomalies is not None),
        ("inferred", "Inferred schema", differences is not None),
        ("distances", "Distances", comparison is not None),
        ("movers", "Movers", comparison is not None),
    ]
    always = [
        ("overview", "Overview"),
        ("features", "Features"),
        ("distributions", "Distributions"),
        ("movies", words.many.capitalize()),
    ]
    return render_page(
        "inspection.html",
        title=title,
        lead=lead,
        sections=[(name, label) for name, label, shown in asked if shown] + always,
        splits=splits,
        words=words,
        overview=overview_rows(splits, words),
        tables=feature_tables(splits, catalogue),
        charts=_charts(splits),
        movies=_top_movies(splits, catalogue),
        comparison=comparison,
        anomalies=anomalies,
        differences=differences,
        made_at=datetime.now(timezone.utc),
    )


def _charts(splits: Named) -> list[dict[str, object]]:
    drawn: list[dict[str, object]] = []
    for feature in features.FEATURES:
        if feature.kind == "movie":
            continue
        name, title = feature.name, feature.meaning.capitalize()
        counts = {label: split.features[name].counts for label, split in splits if name in split.features}
        if name == features.CONTEXT_MOVIE_YEAR:
            counts = {label: _in_spans(of_split) for label, of_split in counts.items()}
        order = _order_of(feature, counts)
        if order:
            drawn.append({"title": title, "chart": charts.share_bars(counts, title.lower(), order)})
    return drawn


def _order_of(feature: Feature, counts: dict[str, dict[str, int]]) -> list[str]:
    """Return values in the order of reading: numbers by size, open categories by frequency."""
    if feature.values:
        return list(feature.values)
    values = {value for of_split in counts.values() for value in of_split}
    if feature.kind == "category":
        first = next(iter(counts.values()), {})
        return sorted(values, key=lambda value: (-first.get(value, 0), value))
    return sorted(values, key=float)


def _in_spans(counts: dict[str, int]) -> dict[str, int]:
    """Return counts of years by spans, each named by its first year; spans without a movie are kept."""
    if not counts:
        return {}
    starts = [int(year) // _YEARS_IN_A_BAR * _YEARS_IN_A_BAR for year in counts]
    spans = {str(start): 0 for start in range(min(starts), max(starts) + 1, _YEARS_IN_A_BAR)}
    for start, times in zip(starts, counts.values(), strict=True):
        spans[str(start)] += times
    return spans


def _top_movies(splits: Named, catalogue: Catalogue) -> list[dict[str, object]]:
    tables: list[dict[str, object]] = []
    for label, split in splits:
        feature = split.features.get(features.LABEL_MOVIE_ID)
        top = list(feature.top(_TOP_MOVIES)) if feature is not None else []
        rows = [
            (catalogue.title_of(value), times, share, round(100 * share / top[0][2], 1)) for value, times, share in top
        ]
        tables.append({"title": f"As labels of {label}", "rows": rows})
    return tables
