"""A release's ratings replayed by time: what was known at the end of each span, and what came next."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.options import GenerateOptions
from data.releases.catalogue import Catalogue
from data.releases.reading import ReleaseReader
from data.releases.release import find_release, obtain
from data.releases.sample import write_sample_release
from data.timelines.timelines import build_timelines
from data.timelines.windows import build_windows, label_rows
from trainer_module.dataset import Windows


@dataclass(frozen=True)
class Replay:
    """Windows in the order of their labels' times, cut into spans.

    Attributes
    ----------
    windows
        Movies as codes of the catalogue, 0 for none; contexts reach back over all spans.
    ends
        `[num_spans + 1]`: how many windows are known at the beginning of the first span, and at the end of each.
    days
        float64 `[num_spans]`: how long each span lasts.
    catalogue
        All movies.
    """

    windows: Windows
    ends: Sequence[int]
    days: NDArray[np.float64]
    catalogue: Catalogue

    def until(self, span: int) -> Windows:
        """Return all windows up to the end of a span, from 1; 0 for those before the first."""
        return self.windows.take(np.arange(self.ends[span]))

    def of(self, span: int) -> Windows:
        """Return the windows of a span, from 1."""
        return self.windows.take(np.arange(self.ends[span - 1], self.ends[span]))


def replay(options: GenerateOptions, source: Path | None, *, spans: int, first: float, until: float) -> Replay:
    """Read a release and cut its windows by time.

    Labels of one second stay in one span, so that spans are nearly of one size.

    Parameters
    ----------
    options
        The release, and how windows are made.
    source
        Its archive or folder; None if it may be downloaded.
    spans
        How many.
    first, until
        The shares of all labels before the first span, and up to the end of the last.

    Raises
    ------
    InputError
        The release can't be had or read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        release = find_release(str(options.release))
        if source is None and release.archive is None:
            source = Path(scratch)
            write_sample_release(source)
        reader = ReleaseReader(obtain(release, source, None, lambda _: None), release)
        ratings = np.concatenate(list(reader.ratings()))
    catalogue = reader.catalogue(np.unique(ratings["movie"]))
    ratings["movie"] = reader.codes_of(catalogue)(ratings["movie"])
    timelines = build_timelines(
        ratings, min_rating=options.min_rating, min_timeline_length=options.min_timeline_length, ties=options.ties
    )
    rows = label_rows(timelines)
    rows = rows[np.argsort(timelines.ratings["time"][rows], kind="stable")]
    times = timelines.ratings["time"][rows]
    wanted = np.linspace(first, until, spans + 1) * len(rows)
    ends = np.searchsorted(times, times[np.minimum(wanted.astype(int), len(rows) - 1)])
    ends[-1] = len(rows) if until >= 1 else ends[-1]
    made = build_windows(timelines, rows, options.max_context_length)
    return Replay(
        Windows(made["movies"].astype(np.int32), made["label"].astype(np.int32)),
        ends.tolist(),
        np.diff(times[np.minimum(ends, len(rows) - 1)]) / 86_400,
        catalogue,
    )


def vocabulary_of(windows: Windows) -> NDArray[np.int64]:
    """Return the codes that windows hold, ascending."""
    return np.setdiff1d(np.unique(np.append(windows.context, windows.label)), [0]).astype(np.int64)


def in_vocabulary(windows: Windows, codes: NDArray[np.int64]) -> Windows:
    """Return windows as places in a vocabulary; contexts lose the movies that it lacks, as they do in serving.

    Parameters
    ----------
    windows
        Movies as codes of the catalogue.
    codes
        int64 `[num_movies]`: the vocabulary, in any order.
    """
    index = np.zeros(max(int(codes.max()), int(windows.context.max()), int(windows.label.max())) + 1, np.int32)
    index[codes] = np.arange(1, len(codes) + 1)
    context = index[windows.context]
    movies_first = np.argsort(context == 0, axis=1, kind="stable")
    return Windows(np.take_along_axis(context, movies_first, axis=1), index[windows.label])
