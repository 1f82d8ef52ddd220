"""What of the audit's figures is out of bounds, each in a sentence: what, how much, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from components.audit.figures import AuditFinding, BehaviourFigures, DataFigures
from components.gate_settings import AuditSettings
from data.splits import STRATEGIES, spelt
from data.words import Words

_DAY = 86_400


def find(
    data: DataFigures, behaviour: BehaviourFigures, settings: AuditSettings, split: str, words: Words
) -> list[AuditFinding]:
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
    found = [
        *_of_the_future(data, split),
        *_of_data(data, settings, words),
        *_of_behaviour(behaviour, settings, words),
    ]
    return [AuditFinding(name=name, sentence=sentence) for name, sentence in found]


def _of_the_future(data: DataFigures, split: str) -> Iterator[tuple[str, str]]:
    """Yield where train knows of a time that the split promises to keep for eval."""
    if STRATEGIES[split].is_by_time and data.overlap_seconds:
        yield (
            "overlap_seconds",
            f"train's latest label is {data.overlap_seconds / _DAY:.1f} days later than the earliest eval label, "
            f"where the {spelt(split)} split allows none: generate the data again",
        )
    if STRATEGIES[split].keeps_users_order and data.late_label_share:
        yield (
            "late_label_share",
            f"{data.late_label_share:.1%} of the train labels are later than the same user's earliest eval label, "
            f"where the {spelt(split)} split allows none: generate the data again",
        )


def _of_data(data: DataFigures, settings: AuditSettings, words: Words) -> Iterator[tuple[str, str]]:
    if _exceeds(data.tied_share, settings.max_tied_share):
        yield (
            "max_tied_share",
            f"{data.tied_share:.1%} of the ratings share user and second with another, more than the "
            f"{settings.max_tied_share:.0%} allowed: what comes next among these is the order of the file, so bring "
            "finer times, or raise audit.max_tied_share",
        )
    if _exceeds(data.eval.label_in_context_share, settings.max_label_in_context_share):
        yield (
            "max_label_in_context_share",
            f"{data.eval.label_in_context_share:.1%} of the eval labels stand in their own context, more than the "
            f"{settings.max_label_in_context_share:.0%} allowed: answers leave out the context's {words.many}, so drop "
            "repeats from the data, or raise audit.max_label_in_context_share",
        )
    if _exceeds(data.eval_in_train_share, settings.max_eval_in_train_share):
        yield (
            "max_eval_in_train_share",
            f"{data.eval_in_train_share:.1%} of the eval windows are train windows too, more than the "
            f"{settings.max_eval_in_train_share:.0%} allowed: figures reward learning by heart, so look for copied "
            "users, or raise audit.max_eval_in_train_share",
        )
    if _exceeds(data.cold_user_share, settings.max_cold_user_share):
        yield (
            "max_cold_user_share",
            f"{data.cold_user_share:.1%} of the users with an eval label have no train label, more than the "
            f"{settings.max_cold_user_share:.0%} allowed: figures are those of newcomers, so take another split or "
            "train fraction, or raise audit.max_cold_user_share",
        )
    wait = data.eval.median_wait_seconds
    if wait is not None and wait > settings.max_median_wait_days * _DAY:
        yield (
            "max_median_wait_days",
            f"half of the eval labels come {wait / _DAY:.1f} days or more after their context, more than the "
            f"{settings.max_median_wait_days:g} allowed: that is another visit and no next {words.one}, so shorten "
            "what the data cover, or raise audit.max_median_wait_days",
        )


def _of_behaviour(behaviour: BehaviourFigures, settings: AuditSettings, words: Words) -> Iterator[tuple[str, str]]:
    if _lacks(behaviour.moved_by_last, settings.min_moved_by_last):
        yield (
            "min_moved_by_last",
            f"another last {words.one} changes {behaviour.moved_by_last:.1%} of an answer, less than the "
            f"{settings.min_moved_by_last:.0%} required: the model hardly reads the history, so train longer or look "
            "at its inputs, or lower audit.min_moved_by_last",
        )
    if _exceeds(behaviour.moved_by_drop, settings.max_moved_by_drop):
        yield (
            "max_moved_by_drop",
            f"one {words.one} less changes {behaviour.moved_by_drop:.1%} of an answer, more than the "
            f"{settings.max_moved_by_drop:.0%} allowed: answers hang on single {words.many}, so raise dropout or train "
            "on more, or raise audit.max_moved_by_drop",
        )
    if _exceeds(behaviour.miss_rate_spread, settings.max_miss_rate_spread):
        yield (
            "max_miss_rate_spread",
            f"the slices' miss rates lie {behaviour.miss_rate_spread:.3f} from that of all on average, more than the "
            f"{settings.max_miss_rate_spread:g} allowed: some are served far worse, so see which in the report, or "
            "raise audit.max_miss_rate_spread",
        )
    for nearness, what, shared in (
        (behaviour.genres, "genres", "share genres with the label"),
        (behaviour.co_watched, "co_watched", f"were {words.taken} with the label"),
    ):
        times = nearness.times if nearness is not None else None
        if _lacks(times, settings.min_nearness):
            yield (
                f"min_nearness of {what}",
                f"the {words.many} of missed answers {shared} {times:.2f} times as often as other queries' answers, "
                f"less than the {settings.min_nearness:g} times required: misses are no nearer than chance, so look at "
                "the samples, or lower audit.min_nearness",
            )
    if _exceeds(behaviour.answer_overlap, settings.max_answer_overlap):
        yield (
            "max_answer_overlap",
            f"two queries' answers share {behaviour.answer_overlap:.1%} on average, more than the "
            f"{settings.max_answer_overlap:.0%} allowed: nearly everybody gets the same, so look at popularity's share "
            "in training, or raise audit.max_answer_overlap",
        )


def _exceeds(figure: float | None, most: float) -> bool:
    return figure is not None and figure > most


def _lacks(figure: float | None, least: float) -> bool:
    return figure is not None and figure < least
