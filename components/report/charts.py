"""Charts as inline SVG that takes its colours from the page, so that one drawing serves light and dark."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import altair as alt
from markupsafe import Markup

if TYPE_CHECKING:
    from components.report.report_model import MetricRow, PastRun, SliceFacts

WIDTH = 330
"""Width of a chart's plot in pixels, made for a phone; wider pages show several charts side by side."""

_CHARACTER = 7
"""Width of a character of a label, in pixels and generously."""

_FONT = "system-ui, sans-serif"
_COLOURS = {
    # Charts are drawn in these, which occur nowhere else; they are replaced by the page's own.
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--model)",
    "#050505": "var(--floor)",
    "#060606": "var(--before)",
    "#070707": "var(--page)",
}
_INK, _MUTED, _LINE, _MODEL, _FLOOR, _BEFORE, _PAGE = _COLOURS
_IDS = re.compile(r'(id="|url\(#|href="#)([A-Za-z][\w-]*)')
_numbers = count(1)


def _as_text(value: float | None) -> str:
    return "no number" if value is None else f"{value:.3f}"


def learning_curve(values: Sequence[float | None], label: str) -> Markup:
    """Draw one figure over the epochs; None leaves a gap."""
    rows = [{"epoch": epoch, "value": value} for epoch, value in enumerate(values, start=1)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("epoch:Q", title="epoch", axis=_counting(len(values))),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
    )
    chart = base.mark_line(color=_MODEL, strokeWidth=2) + base.mark_point(color=_MODEL, filled=True, size=36)
    description = (
        f"Line: {label} by epoch, from {_as_text(values[0])} to {_as_text(values[-1])} in {len(values)} epochs."
    )
    return _svg(chart.properties(width=WIDTH, height=170), description)


def recall_bars(rows: Sequence[MetricRow]) -> Markup:
    """Draw recall at each k for the model, popularity and the last blessed model."""
    series = [("model", _MODEL), ("popularity", _FLOOR), ("last blessed", _BEFORE)]
    bars: list[dict[str, Any]] = []
    for row in rows:
        if row.name.startswith("recall_at_") and row.popularity is not None:
            values = {"model": row.model, "popularity": row.popularity, "last blessed": row.baseline}
            bars += [
                {"metric": row.label, "who": who, "value": value, "text": f"{value:.3f}"}
                for who, value in values.items()
                if value is not None
            ]
    shown = [(who, colour) for who, colour in series if any(bar["who"] == who for bar in bars)]
    description = "Bars: " + "; ".join(f"{bar['metric']} of {bar['who']} {bar['text']}" for bar in bars) + "."
    return _svg(_grouped(bars, "metric", shown, [row["metric"] for row in bars]), description)


def slice_bars(slices: Sequence[SliceFacts], title: str) -> Markup:
    """Draw recall@10 in each slice of a feature, beside popularity's."""
    bars = [
        {"slice": part.value, "who": who, "value": value, "text": _as_text(value)}
        for part in slices
        for who, value in (("model", part.recall), ("popularity", part.recall_popularity))
    ]
    description = (
        f"Bars: recall@10 by {title}: " + "; ".join(f"{part.value}: {_as_text(part.recall)}" for part in slices) + "."
    )
    series = [("model", _MODEL), ("popularity", _FLOOR)]
    return _svg(_grouped(bars, "slice", series, [part.value for part in slices]), description)


def history_line(history: Sequence[PastRun]) -> Markup:
    """Draw recall@10 over the pipeline's runs; models that were not blessed are hollow."""
    rows = [
        {
            "run": number,
            "value": run.recall,
            "floor": run.recall_popularity,
            "blessed": "blessed" if run.blessed else "not blessed",
        }
        for number, run in enumerate(history, start=1)
    ]
    x = alt.X("run:Q", title="run", axis=_counting(len(rows)), scale=alt.Scale(padding=12))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x)
    line = base.mark_line(color=_MODEL, strokeWidth=1.5).encode(y=alt.Y("value:Q", title=None))
    floor = base.mark_line(color=_FLOOR, strokeDash=[4, 3]).encode(y="floor:Q")
    points = base.mark_point(size=60, stroke=_MODEL, filled=True, strokeWidth=2, opacity=1).encode(
        y="value:Q",
        fill=alt.Fill(
            "blessed:N",
            scale=alt.Scale(domain=["blessed", "not blessed"], range=[_MODEL, _PAGE]),
            legend=None,
        ),
    )
    marks = [f"{_as_text(run.recall)} {row['blessed']}" for run, row in zip(history, rows, strict=True)]
    description = f"Line: recall@10 by run: {'; '.join(marks)}."
    return _svg((floor + line + points).properties(width=WIDTH, height=170), description)


def run_line(values: Sequence[float | None], label: str) -> Markup:
    """Draw one figure over the pipeline's runs; None leaves a gap."""
    rows = [{"run": run, "value": value} for run, value in enumerate(values, start=1)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("run:Q", title="run", axis=_counting(len(values))),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
    )
    chart = base.mark_line(color=_MODEL, strokeWidth=2) + base.mark_point(color=_MODEL, filled=True, size=36)
    description = f"Line: {label} by run: {'; '.join(map(_as_text, values))}."
    return _svg(chart.properties(width=WIDTH, height=170), description)


def share_bars(counts: Mapping[str, Mapping[str, int]], what: str, order: Sequence[str]) -> Markup:
    """Draw with which share each value occurs, by split.

    Parameters
    ----------
    counts
        For each split how often each value occurs.
    what
        Names the values.
    order
        Values along the axis.
    """
    totals = {split: max(sum(of_split.values()), 1) for split, of_split in counts.items()}
    bars: list[dict[str, Any]] = [
        {"value": value, "who": split, "share": of_split.get(value, 0) / totals[split]}
        for value in order
        for split, of_split in counts.items()
    ]
    splits = list(counts)
    crowded = len(order) > 12
    upright = _CHARACTER * sum(len(value) + 1 for value in order) <= WIDTH
    chart = (
        alt.Chart(alt.Data(values=bars))
        .mark_bar()
        .encode(
            x=alt.X(
                "value:N",
                sort=list(order),
                title=None,
                axis=alt.Axis(labelAngle=0 if upright else -90, labelOverlap=True, ticks=False),
                scale=alt.Scale(paddingInner=0.1 if crowded else 0.25),
            ),
            xOffset=alt.XOffset("who:N", sort=splits),
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=5)),
            color=_colour(list(zip(splits, (_MODEL, _FLOOR, _BEFORE), strict=False))),
        )
    )
    top = max(bars, key=lambda bar: bar["share"], default=None)
    description = f"Bars: shares of {what} in {' and '.join(splits)}" + (
        f"; the largest is {top['value']} with {top['share']:.1%} in {top['who']}." if top else "."
    )
    return _svg(chart.properties(width=WIDTH, height=170), description)


def _grouped(bars: list[dict[str, Any]], by: str, series: Sequence[tuple[str, str]], order: Sequence[str]) -> alt.Chart:
    """Return a chart of horizontal bars in groups, each with its figure."""
    names = [name for name, _ in series]
    # Bars of every group keep a height that a finger and an eye can tell apart.
    height = len(dict.fromkeys(order)) * (14 * len(series) + 8)
    base = alt.Chart(alt.Data(values=bars)).encode(
        y=alt.Y(f"{by}:N", sort=list(dict.fromkeys(order)), title=None, axis=alt.Axis(ticks=False, domain=False)),
        yOffset=alt.YOffset("who:N", sort=names),
        x=alt.X("value:Q", title=None, axis=alt.Axis(tickCount=4), scale=alt.Scale(padding=0)),
    )
    shown = base.mark_bar().encode(color=_colour(series))
    figures = base.mark_text(align="left", dx=4, fontSize=10, color=_MUTED).encode(text="text:N")
    return (shown + figures).properties(width=WIDTH - 50, height=height)


def _counting(last: int) -> alt.Axis:
    """Return an axis that is labelled with whole numbers from 1 on, each once."""
    return alt.Axis(values=list(range(1, last + 1)), format="d", grid=False, labelOverlap=True)


def _colour(series: Sequence[tuple[str, str]]) -> alt.Color:
    return alt.Color(
        "who:N",
        scale=alt.Scale(domain=[name for name, _ in series], range=[colour for _, colour in series]),
        legend=alt.Legend(orient="top", title=None, symbolType="square"),
    )


def _svg(chart: alt.TopLevelMixin, description: str) -> Markup:
    """Render a chart as one element that fits its column and names what it shows."""
    chart = chart.configure(background="transparent", font=_FONT).configure_view(stroke=None)
    chart = chart.configure_axis(
        labelColor=_MUTED,
        titleColor=_MUTED,
        titleFontWeight="normal",
        labelFontSize=11,
        titleFontSize=11,
        gridColor=_LINE,
        domainColor=_LINE,
        tickColor=_LINE,
        labelLimit=140,
    ).configure_legend(labelColor=_INK, labelFontSize=11)
    buffer = io.StringIO()
    chart.save(buffer, format="svg")
    text = buffer.getvalue()
    for placeholder, colour in _COLOURS.items():
        text = text.replace(placeholder, colour)
    # Clip paths are named alike in every drawing, and a page is one name space.
    prefix = f"chart{next(_numbers)}-"
    text = _IDS.sub(rf"\g<1>{prefix}\g<2>", text)
    label = html.escape(description, quote=True)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704
