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
    from components.report.report_model import DifferenceFacts, MetricRow, PastRun, SliceFacts, SpanDay

WIDTH = 340
"""Width of every chart in pixels, labels included, made for a phone; wider pages show several charts side by side.
None is scaled, so that all have the same size of text."""

_HEIGHT = 190

_TEXT = 11
"""Size of all text, in pixels."""

_CHARACTER = 7
"""Width of a character of a label, in pixels and generously."""

_CROWDED = 12
"""Values of an axis beyond which some stay without a label."""

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
    "#080808": "var(--bad)",
}
_INK, _MUTED, _LINE, _MODEL, _FLOOR, _BEFORE, _PAGE, _BAD = _COLOURS
_IDS = re.compile(r'(id="|url\(#|href="#)([A-Za-z][\w-]*)')
_ROLES = re.compile(r' (?:role="graphics-\w+"|aria-(?:label|roledescription)="[^"]*")')
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
    return _svg(chart, description)


def recall_bars(rows: Sequence[MetricRow], compared_with: str) -> Markup:
    """Draw recall at each k for the model, popularity and the model that it is compared with, which is so called."""
    series = [("model", _MODEL), ("popularity", _FLOOR), (compared_with, _BEFORE)]
    bars: list[dict[str, Any]] = []
    for row in rows:
        if row.name.startswith("recall_at_") and row.popularity is not None:
            values = {"model": row.model, "popularity": row.popularity, compared_with: row.baseline}
            bars += [
                {"metric": row.label, "who": who, "value": value, "text": f"{value:.3f}"}
                for who, value in values.items()
                if value is not None
            ]
    shown = [(who, colour) for who, colour in series if any(bar["who"] == who for bar in bars)]
    description = "Bars: " + "; ".join(f"{bar['metric']} of {bar['who']} {bar['text']}" for bar in bars) + "."
    order = list(dict.fromkeys(bar["metric"] for bar in bars))
    base = alt.Chart(alt.Data(values=bars)).encode(
        y=alt.Y("metric:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=6)),
        yOffset=alt.YOffset("who:N", sort=[who for who, _ in shown]),
        # Room for the figures behind the longest bar.
        x=alt.X("value:Q", title=None, axis=alt.Axis(tickCount=4), scale=alt.Scale(domain=[0, 1.12], nice=False)),
    )
    drawn = base.mark_bar().encode(color=_colour(shown))
    figures = base.mark_text(align="left", dx=4, fontSize=_TEXT, color=_MUTED).encode(text="text:N")
    return _svg(drawn + figures, description, height=40 + len(order) * (14 * len(shown) + 6))


def slice_bars(slices: Sequence[SliceFacts], title: str) -> Markup:
    """Draw recall@10 in each slice of a feature with its 95 % interval, beside popularity's."""
    bars = [
        {"value": part.value, "who": who, "recall": value, "low": low, "high": high}
        for part in slices
        for who, value, low, high in (
            ("model", part.recall, part.low, part.high),
            ("popularity", part.recall_popularity, None, None),
        )
    ]
    description = (
        f"Bars: recall@10 by {title}: " + "; ".join(f"{part.value}: {_as_text(part.recall)}" for part in slices) + "."
    )
    series = [("model", _MODEL), ("popularity", _FLOOR)]
    base = alt.Chart(alt.Data(values=bars)).encode(
        x=_values_along([part.value for part in slices]),
        xOffset=alt.XOffset("who:N", sort=[who for who, _ in series]),
    )
    drawn = base.mark_bar().encode(y=alt.Y("recall:Q", title=None, axis=alt.Axis(tickCount=5)), color=_colour(series))
    intervals = (
        base.transform_filter("datum.low !== null")
        .mark_rule(color=_INK, strokeWidth=1.5)
        .encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    )
    return _svg(drawn + intervals, description)


_INTERVAL_ROW = 48
"""Below the names of two lines, in pixels."""


def difference_interval(difference: DifferenceFacts) -> Markup:
    """Draw the difference to another model with its interval, beside zero and the drop that the gate allows.

    Parameters
    ----------
    difference
        With mean, low and high.
    """
    mean, low, high, drop = difference.mean, difference.low, difference.high, difference.allowed_drop
    if mean is None or low is None or high is None:
        return Markup()
    lines = [("equal", 0.0, [1, 0]), *([(f"allowed {-drop:+g}", -drop, [4, 3])] if drop else [])]
    ends = [low, high, *(at for _, at, _ in lines)]
    room = 0.12 * (max(ends) - min(ends))
    scale = alt.Scale(domain=[min(ends) - room, max(ends) + room], nice=False)
    where = alt.X("at:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5, grid=False, format="+.4~f"))
    drawn: list[alt.Chart] = []
    for row, (name, at, dash) in enumerate(lines):
        base = alt.Chart(alt.Data(values=[{"at": at, "text": name}])).encode(x=where)
        drawn.append(base.mark_rule(color=_MUTED, strokeWidth=1.5, strokeDash=dash))
        # Each name in a row of its own, since the lines may lie close together, and on the side that has room for it.
        room_before = WIDTH * (at - min(ends) + room) / (max(ends) - min(ends) + 2 * room)
        is_behind = room_before < _CHARACTER * len(name) if at < 0 else WIDTH - room_before > _CHARACTER * len(name)
        named = base.encode(text="text:N", y=alt.value(8 + 15 * row))
        # A rim in the page's colour, where the name lies over the other line.
        for colour, rim in ((_PAGE, 4), (_INK, 0)):
            text = named.mark_text(
                align="left" if is_behind else "right",
                dx=5 if is_behind else -5,
                fontSize=_TEXT,
                color=colour,
                stroke=_PAGE,
                strokeWidth=rim,
            )
            drawn.append(text)
    model = alt.Chart(alt.Data(values=[{"at": mean, "low": low, "high": high}])).encode(y=alt.value(_INTERVAL_ROW))
    drawn += [
        model.mark_rule(color=_MODEL, strokeWidth=4).encode(x=alt.X("low:Q", title=None, scale=scale), x2="high:Q"),
        model.mark_point(color=_MODEL, filled=True, size=130, opacity=1).encode(x=where),
    ]
    description = (
        f"Interval: recall@10 differs by {mean:+.4f}, from {low:+.4f} to {high:+.4f}, beside "
        f"{' and '.join(name for name, _, _ in lines)}."
    )
    return _svg(alt.layer(*drawn), description, height=96)


def count_bars(counts: Mapping[str, int], what: str) -> Markup:
    """Draw how often each value occurs, in the order of the mapping."""
    bars = [{"value": value, "count": count} for value, count in counts.items()]
    chart = (
        alt.Chart(alt.Data(values=bars))
        .mark_bar(color=_MODEL)
        .encode(x=_values_along(list(counts)), y=alt.Y("count:Q", title=None, axis=alt.Axis(tickCount=5, format="~s")))
    )
    top = max(counts, key=lambda value: counts[value], default=None)
    description = f"Bars: {what}" + (f"; the most are {counts[top]:,} at {top}." if top is not None else ".")
    return _svg(chart, description)


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
    return _svg(floor + line + points, description)


def span_lines(days: Sequence[SpanDay]) -> Markup:
    """Draw recall@10, with its 95 % interval, and NDCG@10 over the spans; a line in the height marks a refused one."""
    series = [("recall@10", _MODEL), ("NDCG@10", _FLOOR)]
    points = [
        {"span": day.span, "who": who, "value": value, "low": low, "high": high}
        for day in days
        if day.recall is not None
        for who, value, low, high in (("recall@10", day.recall, day.low, day.high), ("NDCG@10", day.ndcg, None, None))
    ]
    refused = [{"span": day.span} for day in days if day.outcome == "refused"]
    first, last = days[0].span, days[-1].span
    axis = alt.Axis(values=list(range(first, last + 1)), format="d", grid=False, labelOverlap=True)
    where = alt.X("span:Q", title="span", axis=axis, scale=alt.Scale(domain=[first, last], padding=12, nice=False))
    base = alt.Chart(alt.Data(values=points)).encode(x=where)
    coloured = base.encode(color=_colour(series))
    value = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    intervals = (
        base.transform_filter("datum.low !== null")
        .mark_rule(color=_MODEL, opacity=0.45, strokeWidth=3)
        .encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    )
    size = 36 if last - first < _CROWDED else 9
    drawn = (
        intervals
        + coloured.mark_line(strokeWidth=1.5).encode(y=value)
        + coloured.mark_point(filled=True, size=size, opacity=1).encode(y=value)
    )
    marks = alt.Chart(alt.Data(values=refused)).mark_rule(color=_BAD, strokeDash=[4, 3], strokeWidth=1.5)
    told = [f"span {day.span} {'refused' if day.outcome == 'refused' else _as_text(day.recall)}" for day in days]
    return _svg(drawn + marks.encode(x=where), f"Line: the served model's recall@10: {'; '.join(told)}.")


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
    chart = (
        alt.Chart(alt.Data(values=bars))
        .mark_bar()
        .encode(
            x=_values_along(order),
            xOffset=alt.XOffset("who:N", sort=splits),
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=5)),
            color=_colour(list(zip(splits, (_MODEL, _FLOOR, _BEFORE), strict=False))),
        )
    )
    top = max(bars, key=lambda bar: bar["share"], default=None)
    description = f"Bars: shares of {what} in {' and '.join(splits)}" + (
        f"; the largest is {top['value']} with {top['share']:.1%} in {top['who']}." if top else "."
    )
    return _svg(chart, description)


def _values_along(order: Sequence[str]) -> alt.X:
    """Return an axis with a place for each value of the field `value`."""
    upright = len(order) > _CROWDED or _CHARACTER * sum(len(value) + 1 for value in order) <= WIDTH
    return alt.X(
        "value:N",
        sort=list(order),
        title=None,
        axis=alt.Axis(labelAngle=0 if upright else -90, labelOverlap="greedy", labelSeparation=8, ticks=False),
        scale=alt.Scale(paddingInner=0.1 if len(order) > _CROWDED else 0.25),
    )


def _counting(last: int) -> alt.Axis:
    """Return an axis that is labelled with whole numbers from 1 on, each once."""
    return alt.Axis(values=list(range(1, last + 1)), format="d", grid=False, labelOverlap=True)


def _colour(series: Sequence[tuple[str, str]]) -> alt.Color:
    return alt.Color(
        "who:N",
        scale=alt.Scale(domain=[name for name, _ in series], range=[colour for _, colour in series]),
        legend=alt.Legend(orient="top", title=None, symbolType="square"),
    )


def _svg(chart: alt.TopLevelMixin, description: str, height: int = _HEIGHT) -> Markup:
    """Render a chart as one element of the common width that names what it shows."""
    chart = chart.properties(width=WIDTH, height=height, autosize=alt.AutoSizeParams(type="fit", contains="padding"))
    chart = chart.configure(background="transparent", font=_FONT).configure_view(stroke=None)
    chart = chart.configure_axis(
        labelColor=_MUTED,
        titleColor=_MUTED,
        titleFontWeight="normal",
        labelFontSize=_TEXT,
        titleFontSize=_TEXT,
        gridColor=_LINE,
        domainColor=_LINE,
        tickColor=_LINE,
        labelLimit=140,
    ).configure_legend(labelColor=_INK, labelFontSize=_TEXT)
    buffer = io.StringIO()
    chart.save(buffer, format="svg")
    text = buffer.getvalue()
    for placeholder, colour in _COLOURS.items():
        text = text.replace(placeholder, colour)
    # Clip paths are named alike in every drawing, and a page is one name space.
    prefix = f"chart{next(_numbers)}-"
    text = _IDS.sub(rf"\g<1>{prefix}\g<2>", text)
    # A chart is one picture with one description: names of its parts, some of them empty, would only stand in the way.
    text = _ROLES.sub("", text)
    label = html.escape(description, quote=True)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704
