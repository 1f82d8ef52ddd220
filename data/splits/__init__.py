"""Which examples train and which evaluate: a strategy for each split, and its name.

To add a split, write its strategy into a file of its own here and list it in `STRATEGIES`; everybody else asks that.
"""

from __future__ import annotations

from collections.abc import Mapping

from data.splits.base import SplitStrategy
from data.splits.global_time import GlobalTimeSplit
from data.splits.global_time_last import GlobalTimeLastSplit
from data.splits.leave_one_out import LeaveOneOutSplit
from data.splits.random import RandomSplit
from data.splits.temporal import TemporalSplit

STRATEGIES: Mapping[str, type[SplitStrategy]] = {
    strategy.name: strategy
    for strategy in (RandomSplit, LeaveOneOutSplit, TemporalSplit, GlobalTimeSplit, GlobalTimeLastSplit)
}
"""By the name that options, manifests and data identities hold."""

SPLIT_NAMES = tuple(STRATEGIES)


def spelt(name: str) -> str:
    """Return a split's name with `-` between words, as messages and the names of pipelines have it."""
    return name.replace("_", "-")


def unspelt(value: object) -> object:
    """Return the name that `STRATEGIES` has for either spelling; anything but text as it is.

    Raises
    ------
    ValueError
        There is no such split.
    """
    if not isinstance(value, str):
        return value
    name = value.replace("-", "_")
    if name not in STRATEGIES:
        raise ValueError(f"there is no such split: take {SPLIT_CHOICES}")
    return name


SPLIT_CHOICES = " or ".join(", ".join(map(spelt, SPLIT_NAMES)).rsplit(", ", 1))
"""All splits for a line of help: `random, leave-one-out or temporal`."""
