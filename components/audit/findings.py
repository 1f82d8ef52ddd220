"""What of the audit's figures is out of bounds, each in a sentence: what, how much, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from components.audit.figures import BehaviourFigures, DataFigures
from components.finding import Finding
from components.gate_settings import AuditSettings
from data.splits import STRATEGIES, spelt
from data.words import Words

_DAY = 86_400


def find(
    data: DataFigures, behaviour: BehaviourFigures, settings: AuditSettings, split: str, words: Words
) -> list[Finding]:
    """Return what is out of bounds; a figure that is not known is not.

    Parameters
    ----------
    data, behaviour
        What was measured.
    settings
        What is allowed.
    split
        The split's name, which decides what it promises.
    words
        What the items are called.
    """
    return [
        *_of_the_future(data, split),
        *_of_data(data, settings, words),
        *_of_behaviour(behaviour, settings, words),
    ]


def _of_the_future(data: DataFigures, split: str) -> Iterator[Finding]:
    """Yield where train knows of a time that the split promises to keep for eval."""
    allows_none, remedy = f"where the {spelt(split)} split allows none", "generate the data again"
    if STRATEGIES[split].is_by_time and data.overlap_seconds:
        days = data.overlap_seconds / _DAY
        what = f"train's latest label is {days:.1f} days later than the earliest eval label, {allows_none}"
        yield Finding(kind="overlap_seconds", what=what, measured=data.overlap_seconds, allowed=0, remedy=remedy)
    share = data.late_label_share
    if STRATEGIES[split].keeps_users_order and share:
        what = f"{share:.1%} of the train labels are later than the same user's earliest eval label, {allows_none}"
        yield Finding(kind="late_label_share", what=what, measured=share, allowed=0, remedy=remedy)


def _of_data(data: DataFigures, settings: AuditSettings, words: Words) -> Iterator[Finding]:
    yield from _out_of_bounds(
        "max_tied_share",
        data.tied_share,
        settings,
        lambda share, most: f"{share:.1%} of the ratings share user and second with another, more than the {most:.0%}",
        "what comes next among these is the order of the file, so bring finer times",
    )
    yield from _out_of_bounds(
        "max_label_in_context_share",
        data.eval.label_in_context_share,
        settings,
        lambda share, most: f"{share:.1%} of the eval labels stand in their own context, more than the {most:.0%}",
        f"answers leave out the context's {words.many}, so drop repeats from the data",
    )
    yield from _out_of_bounds(
        "max_eval_in_train_share",
        data.eval_in_train_share,
        settings,
        lambda share, most: f"{share:.1%} of the eval windows are train windows too, more than the {most:.0%}",
        "figures reward learning by heart, so look for copied users",
    )
    yield from _out_of_bounds(
        "max_cold_user_share",
        data.cold_user_share,
        settings,
        lambda share, most: (
            f"{share:.1%} of the users with an eval label have no train label, more than the {most:.0%}"
        ),
        "figures are those of newcomers, so take another split or train fraction",
    )
    wait = data.eval.median_wait_seconds
    yield from _out_of_bounds(
        "max_median_wait_days",
        wait / _DAY if wait is not None else None,
        settings,
        lambda days, most: (
            f"half of the eval labels come {days:.1f} days or more after their context, more than the {most:g}"
        ),
        f"that is another visit and no next {words.one}, so shorten what the data cover",
    )


def _of_behaviour(behaviour: BehaviourFigures, settings: AuditSettings, words: Words) -> Iterator[Finding]:
    yield from _out_of_bounds(
        "min_moved_by_last",
        behaviour.moved_by_last,
        settings,
        lambda share, least: f"another last {words.one} changes {share:.1%} of an answer, less than the {least:.0%}",
        "the model hardly reads the history, so train longer or look at its inputs",
    )
    yield from _out_of_bounds(
        "max_moved_by_drop",
        behaviour.moved_by_drop,
        settings,
        lambda share, most: f"one {words.one} less changes {share:.1%} of an answer, more than the {most:.0%}",
        f"answers hang on single {words.many}, so raise dropout or train on more",
    )
    yield from _out_of_bounds(
        "max_miss_rate_spread",
        behaviour.miss_rate_spread,
        settings,
        lambda spread, most: (
            f"the slices' miss rates lie {spread:.3f} from that of all on average, more than the {most:g}"
        ),
        "some are served far worse, so see which in the report",
    )
    for nearness, name, shared in (
        (behaviour.genres, "genres", "share genres with the label"),
        (behaviour.co_watched, "co_watched", f"were {words.taken} with the label"),
    ):
        yield from _out_of_bounds(
            f"min_nearness of {name}",
            nearness.times if nearness is not None else None,
            settings,
            _say_times(f"the {words.many} of missed answers {shared}"),
            "misses are no nearer than chance, so look at the samples",
        )
    yield from _out_of_bounds(
        "max_answer_overlap",
        behaviour.answer_overlap,
        settings,
        lambda share, most: f"two queries' answers share {share:.1%} on average, more than the {most:.0%}",
        "nearly everybody gets the same, so look at popularity's share in training",
    )


def _say_times(what: str) -> Callable[[float, float], str]:
    return lambda times, least: (
        f"{what} {times:.2f} times as often as other queries' answers, less than the {least:g} times"
    )


def _out_of_bounds(
    kind: str, measured: float | None, settings: AuditSettings, say: Callable[[float, float], str], remedy: str
) -> Iterator[Finding]:
    """Yield a finding if a figure is known, and beyond the setting that its kind begins with."""
    setting = kind.partition(" ")[0]
    allowed = getattr(settings, setting)
    is_most = setting.startswith("max_")
    if measured is None or not (measured > allowed if is_most else measured < allowed):
        return
    what = f"{say(measured, allowed)} {'allowed' if is_most else 'required'}"
    remedy = f"{remedy}, or {'raise' if is_most else 'lower'} audit.{setting}"
    yield Finding(kind=kind, what=what, measured=measured, allowed=allowed, remedy=remedy)
