"""Served requests as the page shows them: how far their contexts lie from train, and what is taken at each place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from components.report import charts
from components.report.metrics import share_interval
from data.features import POPULARITY_BUCKETS

if TYPE_CHECKING:
    from components.report.report_model import ReportModel
    from data.request_log.facts import ServedFacts, Skew


def requests_section(facts: ReportModel) -> dict[str, Any] | None:
    """Return what the template shows of a request log; None where the data were generated without one."""
    served = facts.data.requests if facts.data is not None else None
    if served is None:
        return None
    many = facts.words.many
    compared = {
        f"which {many} stand in a context": served.movies,
        f"how popular the {many} of a context are": served.popularity,
        f"how many {many} a context holds": served.history_lengths,
    }
    return {
        "facts": served,
        "first": datetime.fromtimestamp(served.first, timezone.utc),
        "last": datetime.fromtimestamp(served.last, timezone.utc),
        "unknown": f"{served.unknown_share:.1%}" if served.unknown_share is not None else "not known",
        "skews": [
            (name, _measured(skew.l_infinity), _measured(skew.jensen_shannon)) for name, skew in compared.items()
        ],
        "positions": list(_positions(served)),
        "charts": [
            {"title": title, "chart": _drawn(skew, title, values)}
            for title, skew, values in (
                (f"Popularity of the {many} in contexts", served.popularity, POPULARITY_BUCKETS),
                ("Lengths of contexts", served.history_lengths, sorted(served.history_lengths.train, key=int)),
            )
        ],
    }


def _drawn(skew: Skew, title: str, values: Any) -> object:
    return charts.share_bars({"train": skew.train, "served": skew.served}, title.lower(), list(values))


def _measured(distance: float | None) -> str:
    return "not known" if distance is None else f"{distance:.4f}"


def _positions(served: ServedFacts) -> Iterator[dict[str, object]]:
    for place in served.positions:
        low, high = share_interval(place.taken / place.shown, place.shown)
        yield {
            "position": place.position,
            "shown": place.shown,
            "taken": place.taken,
            "rate": f"{place.taken / place.shown:.2%}",
            "interval": f"{low:.2%} to {high:.2%}",
        }
