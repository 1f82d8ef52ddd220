"""The audit as the page shows it: rows of figures beside what is allowed, and how they moved from run to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.audit.figures import AuditResult, Nearness
from components.report import charts

if TYPE_CHECKING:
    from components.report.report_model import ReportModel
    from data.words import Words

_DAY = 86_400
_UNITS = ((_DAY, "days"), (3_600, "hours"), (60, "minutes"))

_DRAWN = {
    "tied_share": "Ratings that share user and second",
    "cold_user_share": "Eval users without a train label",
    "cold_label_share": "Eval labels that are no train label",
    "moved_by_last": "Answer moved by another last {one}",
    "moved_by_order": "Answer moved by the opposite order",
    "moved_by_drop": "Answer moved by dropping one {one}",
    "miss_rate_spread": "Spread of the slices' miss rates",
    "answer_overlap": "Overlap of two queries' answers",
}
"""Titles of the figures that are drawn over the runs, by name; `{one}` is the word for an item."""


@dataclass(frozen=True)
class Row:
    """A figure, with what the settings allow; both as text. `is_out` is whether it is out of bounds."""

    label: str
    value: str
    allowed: str = ""
    is_out: bool = False


def audit_section(facts: ReportModel) -> dict[str, Any] | None:
    """Return what the template shows of the audit; None where the run did not get to it."""
    audit = facts.audit
    if audit is None:
        return None
    allowed = facts.settings.get("audit", {})
    out = {finding.kind.partition(" ")[0] for finding in audit.findings}
    return {
        "data": list(_data_rows(audit, allowed, out)),
        "behaviour": list(_behaviour_rows(audit, allowed, out, facts.words)),
        "charts": list(_history_charts(facts)),
    }


def _data_rows(audit: AuditResult, allowed: Mapping[str, Any], out: set[str]) -> Iterator[Row]:
    data = audit.data
    for label, share, setting in (
        ("ratings that share user and second with another", data.tied_share, "max_tied_share"),
        ("ratings of what the user had rated before", data.repeated_share, None),
        ("train contexts that hold something twice", data.train.repeats_in_context_share, None),
        ("eval contexts that hold something twice", data.eval.repeats_in_context_share, None),
        (
            "eval labels in their own context, which answers leave out",
            data.eval.label_in_context_share,
            "max_label_in_context_share",
        ),
        ("eval windows that are train windows too", data.eval_in_train_share, "max_eval_in_train_share"),
        ("eval labels that are no train label", data.eval.cold_label_share, None),
        ("eval labels that train holds nowhere", data.unknown_label_share, None),
        ("users with an eval label that have no train label", data.cold_user_share, "max_cold_user_share"),
        ("train labels later than the user's first eval label", data.late_label_share, "late_label_share"),
    ):
        yield Row(label, _share(share), _limit(allowed, setting), setting in out)
    yield Row(
        "train's last label later than eval's first, by", _duration(data.overlap_seconds), "", "overlap_seconds" in out
    )
    for split, figures in (("train", data.train), ("eval", data.eval)):
        is_judged = split == "eval"
        most = allowed.get("max_median_wait_days")
        yield Row(
            f"from the last input to the {split} label, median and 90th percentile",
            f"{_duration(figures.median_wait_seconds)}, {_duration(figures.long_wait_seconds)}",
            f"≤ {most:g} days" if is_judged and most is not None else "",
            is_judged and "max_median_wait_days" in out,
        )


def _behaviour_rows(audit: AuditResult, allowed: Mapping[str, Any], out: set[str], words: Words) -> Iterator[Row]:
    behaviour = audit.behaviour
    for label, share, setting in (
        (f"answer moved by another last {words.one}", behaviour.moved_by_last, "min_moved_by_last"),
        ("answer moved by the opposite order", behaviour.moved_by_order, None),
        (f"answer moved by one {words.one} less", behaviour.moved_by_drop, "max_moved_by_drop"),
        ("misses: labels that are not among the ten", behaviour.miss_rate, None),
        ("slices' mean distance from that", behaviour.miss_rate_spread, "max_miss_rate_spread"),
        ("overlap of two queries' answers", behaviour.answer_overlap, "max_answer_overlap"),
    ):
        yield Row(label, _share(share), _limit(allowed, setting), setting in out)
    for label, nearness in (
        ("genres that missed answers share with the label", behaviour.genres),
        (f"missed answers {words.taken} with the label in train", behaviour.co_watched),
    ):
        yield Row(label, _near(nearness), _limit_times(allowed), "min_nearness" in out)


def _history_charts(facts: ReportModel) -> Iterator[dict[str, object]]:
    """Yield a chart of each figure that at least two runs know."""
    for name, title in _DRAWN.items():
        values = [run.audit.get(name) for run in facts.history]
        if sum(value is not None for value in values) > 1:
            titled = title.format(one=facts.words.one)
            yield {"title": titled, "chart": charts.run_line(values, titled)}


def _share(share: float | None) -> str:
    return "not known" if share is None else f"{share:.1%}"


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "not known"
    length, unit = next(((length, unit) for length, unit in _UNITS if seconds >= 2 * length), (1, "s"))
    return f"{seconds / length:.0f} {unit}"


def _near(nearness: Nearness | None) -> str:
    if nearness is None:
        return "not known"
    times = f", {nearness.times:.2f} times" if nearness.times is not None else ""
    return f"{nearness.own:.1%}, others' {nearness.others:.1%}{times}"


def _limit(allowed: Mapping[str, Any], setting: str | None) -> str:
    """Return what a setting allows; figures that no setting judges are allowed whatever they are."""
    if setting is None or setting not in allowed:
        return ""
    return f"{'≤' if setting.startswith('max_') else '≥'} {allowed[setting]:.0%}"


def _limit_times(allowed: Mapping[str, Any]) -> str:
    return f"≥ {allowed['min_nearness']:g} times" if "min_nearness" in allowed else ""
