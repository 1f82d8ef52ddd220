"""From timelines to windows: a label and the movies before it, as rows of one fixed size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.movie_ids import NO_MOVIE
from data.timelines.timelines import Timelines


def window_dtype(max_context_length: int) -> np.dtype:
    """Return the type of one window, as it lies in memory and in the temporary files.

    `order` is its place among all examples, `popularity` its label's bucket. `movies` and
    `stars` are the context, oldest first, post-padded; `length` says how many of them are real.
    `label` and `movies` hold codes of the catalogue.
    """
    return np.dtype(
        [
            ("order", "<u8"),
            ("popularity", "i1"),
            ("length", "<i2"),
            ("label", "<i4"),
            ("movies", "<i4", (max_context_length,)),
            ("stars", "<f4", (max_context_length,)),
        ]
    )


def label_rows(timelines: Timelines) -> NDArray[np.int64]:
    """Return the rows of ratings that are labels, int64 `[num_windows]`."""
    return np.flatnonzero(timelines.is_label)


def build_windows(timelines: Timelines, rows: NDArray[np.int64], max_context_length: int) -> NDArray[np.void]:
    """Return the windows that end in the given labels.

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
        `window_dtype(max_context_length)[num_windows]`; `order` and `popularity` are 0.
    """
    windows = np.zeros(len(rows), dtype=window_dtype(max_context_length))
    lengths = np.minimum(timelines.positions[rows], max_context_length)
    firsts = rows - lengths
    movies, stars = (np.ascontiguousarray(timelines.ratings[name]) for name in ("movie", "stars"))
    windows["length"] = lengths
    windows["label"] = movies[rows]
    for place in range(max_context_length):
        is_real = place < lengths
        # Pads point at the label, so that no index leaves the array, and are overwritten.
        sources = np.minimum(firsts + place, rows)
        windows["movies"][:, place] = np.where(is_real, movies[sources], NO_MOVIE)
        windows["stars"][:, place] = np.where(is_real, stars[sources], 0.0)
    return windows
