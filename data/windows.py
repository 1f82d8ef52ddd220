"""From timelines to windows: a label and the movies before it, as rows of one fixed size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.features import PAD_MOVIE_ID
from data.timelines import Timelines


def window_dtype(max_context_length: int) -> np.dtype:
    """Describe one window as it lies in memory and in the temporary files.

    `order` is its place among all examples, `train` and `popularity` what the split gave it. `movies` and
    `stars` are the context, oldest first, post-padded; `length` says how many of them are real.
    """
    return np.dtype(
        [
            ("order", "<u8"),
            ("train", "?"),
            ("popularity", "i1"),
            ("length", "<i2"),
            ("label", "<i4"),
            ("movies", "<i4", (max_context_length,)),
            ("stars", "<f4", (max_context_length,)),
        ]
    )


def label_rows(timelines: Timelines) -> NDArray[np.int64]:
    """List the ratings that are labels: every one that has another before it, int64 `[num_windows]`."""
    return np.flatnonzero(timelines.positions >= 1)


def build_windows(timelines: Timelines, rows: NDArray[np.int64], max_context_length: int) -> NDArray[np.void]:
    """Cut the windows that end in the given labels.

    Parameters
    ----------
    timelines
        Timelines of some users.
    rows
        int64 `[num_windows]`: the ratings that are labels, from `label_rows`.
    max_context_length
        How many movies before the label are kept at most: the nearest.

    Returns
    -------
    NDArray[np.void]
        `window_dtype(max_context_length)[num_windows]`; `order`, `train` and `popularity` are 0.
    """
    windows = np.zeros(len(rows), dtype=window_dtype(max_context_length))
    lengths = np.minimum(timelines.positions[rows], max_context_length)
    offsets = np.arange(max_context_length)
    is_real = offsets < lengths[:, None]
    # Pads point at the label, so that no index leaves the array, and are overwritten.
    sources = np.where(is_real, (rows - lengths)[:, None] + offsets, rows[:, None])
    windows["length"] = lengths
    windows["label"] = timelines.ratings["movie"][rows]
    windows["movies"] = np.where(is_real, timelines.ratings["movie"][sources], PAD_MOVIE_ID)
    windows["stars"] = np.where(is_real, timelines.ratings["stars"][sources], 0.0)
    return windows
