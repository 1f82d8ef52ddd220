"""Time to quality: how well models rank after how many seconds of fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import markdown_table

_SHARES = (0.9, 0.95, 0.99)
"""Of the best end of all, whose first times are told."""


class Point(NamedTuple):
    """A model as it stands while it is fitted.

    Attributes
    ----------
    seconds, cpu_seconds
        Of fitting so far, tracing and starting embeddings included.
    epochs
        Passes so far.
    recall_at_10, recall_at_100
        On labels held out of train, each context's own movies left out.
    """

    seconds: float
    cpu_seconds: float
    epochs: float
    recall_at_10: float
    recall_at_100: float


def curve_table(curves: Mapping[str, Sequence[Point]]) -> str:
    """Return how configurations end, and after how many CPU seconds each had a share of the best end's recall@10.

    CPU seconds, since other work on the machine moves them least.
    """
    best = max(Point(*points[-1]).recall_at_10 for points in curves.values())
    rows = []
    for name, points in curves.items():
        last = Point(*points[-1])
        found = [f"{last.epochs:.0f}", f"{last.seconds:.1f}", f"{last.cpu_seconds:.1f}"]
        found += [f"{last.recall_at_10:.4f}", f"{last.recall_at_100:.4f}"]
        for share in _SHARES:
            reached = (point.cpu_seconds for point in map(Point._make, points) if point.recall_at_10 >= share * best)
            found.append(next((f"{seconds:.1f}" for seconds in reached), "never"))
        rows.append([name, *found])
    to_shares = [f"CPU s to {share:.0%} of the best" for share in _SHARES]
    return markdown_table(["configuration", "epochs", "s", "CPU s", "recall@10", "recall@100", *to_shares], rows)


def draw_curves(curves: Mapping[str, Sequence[Point]], file: Path) -> None:
    """Draw recall@10 by CPU seconds of fitting, as SVG or PNG by the file's ending."""
    import altair as alt

    rows = [
        {"configuration": name, "seconds": point.cpu_seconds, "recall": point.recall_at_10}
        for name, points in curves.items()
        for point in map(Point._make, points)
    ]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("seconds:Q", title="CPU seconds of fitting"),
            y=alt.Y("recall:Q", title="recall@10 on labels held out of train"),
            color=alt.Color("configuration:N", sort=list(curves), title=None, legend=alt.Legend(orient="top")),
        )
        .properties(width=640, height=320, background="white")
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    chart.save(str(file))
