"""Data and split: what the examples, their catalogue and their manifest tell together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.audit.figures import DataFigures, SplitFigures
from components.audit.windows import Windows
from data.features import POPULARITY_BUCKETS
from data.movie_ids import NO_MOVIE
from data.timelines.time_facts import SplitTimes, TimeFacts

_UNSEEN = POPULARITY_BUCKETS[-1].encode()


class SplitTally:
    """Counts over a split's windows, added to batch by batch."""

    def __init__(self) -> None:
        self._examples = self._cold = self._repeats = self._in_context = 0

    def add(self, windows: Windows) -> None:
        """Count some windows."""
        self._examples += len(windows)
        self._cold += int((windows.popularity == _UNSEEN).sum())
        self._repeats += int(windows.repeats_in_context().sum())
        self._in_context += int(windows.labels_in_context().sum())

    def figures(self, times: SplitTimes | None) -> SplitFigures:
        """Return the shares, with the times that the manifest knows."""
        examples = max(self._examples, 1)
        return SplitFigures(
            examples=self._examples,
            cold_label_share=self._cold / examples,
            repeats_in_context_share=self._repeats / examples,
            label_in_context_share=self._in_context / examples,
            median_wait_seconds=times.median_wait if times else None,
            long_wait_seconds=times.long_wait if times else None,
        )


class SplitComparison:
    """What of eval stands in train: eval windows are added first, then train windows.

    Parameters
    ----------
    num_movies
        Of the catalogue.
    """

    def __init__(self, num_movies: int) -> None:
        self._hashes: list[NDArray[np.uint64]] = []
        self._sorted: NDArray[np.uint64] | None = None
        self._steps = np.zeros(1, dtype=np.int64)
        self._labels = np.zeros(1 + num_movies, dtype=np.int64)
        self._is_known = np.zeros(1 + num_movies, dtype=bool)

    def add_eval(self, windows: Windows) -> None:
        """Remember eval windows, eight bytes each."""
        self._hashes.append(windows.hashes())
        self._labels += np.bincount(windows.label, minlength=len(self._labels))

    def add_train(self, windows: Windows) -> None:
        """Look which eval windows stand among train windows, and which movies train holds."""
        if self._sorted is None:
            self._sorted = np.sort(np.concatenate(self._hashes))
            self._steps = np.zeros(len(self._sorted) + 1, dtype=np.int64)
        self._is_known[windows.label] = True
        self._is_known[windows.context] = True
        hashes = np.unique(windows.hashes())
        first, last = (np.searchsorted(self._sorted, hashes, side=side) for side in ("left", "right"))
        # Equal windows lie side by side, and distinct ones apart: the sum of the steps is above 0 for those met.
        self._steps[first[first < last]] += 1
        self._steps[last[first < last]] -= 1

    @property
    def eval_in_train_share(self) -> float:
        """Eval windows that stand among the train windows, as a share."""
        is_met = np.cumsum(self._steps)[:-1] > 0
        return float(is_met.mean()) if len(is_met) else 0.0

    @property
    def unknown_label_share(self) -> float:
        """Eval labels that train doesn't hold, as a share."""
        is_unknown = ~self._is_known
        is_unknown[NO_MOVIE] = False
        return float(self._labels[is_unknown].sum() / max(self._labels.sum(), 1))


def data_figures(
    train: SplitTally, held_out: SplitTally, comparison: SplitComparison, times: TimeFacts | None
) -> DataFigures:
    """Return the figures of data and split.

    Parameters
    ----------
    train, held_out, comparison
        All windows, counted.
    times
        What the manifest knows of users and times; None for one of version 0.1.0.
    """
    counted = DataFigures(
        train=train.figures(times.train if times else None),
        eval=held_out.figures(times.eval if times else None),
        eval_in_train_share=comparison.eval_in_train_share,
        unknown_label_share=comparison.unknown_label_share,
    )
    if times is None:
        return counted
    return counted.model_copy(
        update={
            "tied_share": times.tied / times.ratings,
            "repeated_share": times.repeated / times.ratings,
            "cold_user_share": times.cold_users / times.eval.users,
            "late_label_share": times.late_labels / times.train.labels,
            "overlap_seconds": max(times.train.last - times.eval.first, 0),
        }
    )
