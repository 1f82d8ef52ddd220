"""From windows to the named features of an example."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data import features
from data.movie_ids import id_array, is_text
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue


class FeatureTable:
    """The features of the movies in windows, looked up for whole arrays.

    Parameters
    ----------
    catalogue
        Years and genres of all movies that windows may hold.
    options
        How many genres an example holds.
    """

    def __init__(self, catalogue: Catalogue, options: GenerateOptions) -> None:
        # Rows are codes. The first stands for pads, which have neither year nor genres.
        pad = id_array([catalogue.pad], text=is_text(catalogue.ids))
        self._ids = np.concatenate([pad, catalogue.ids])
        self._num_genres = options.max_context_movie_genre_length
        names = catalogue.genre_names()
        code_of = {name: code for code, name in enumerate(names)}
        self._years = np.insert(catalogue.years, 0, 0)
        counts = [len(genres) for genres in catalogue.genres]
        self._genre_counts = np.array([0, *counts], dtype=np.int64)
        self._genre_starts = np.cumsum(self._genre_counts) - self._genre_counts
        self._genre_codes = np.array(
            [code_of[genre] for genres in catalogue.genres for genre in genres], dtype=np.int64
        )
        self._genre_names = np.array([name.encode() for name in [*names, features.NO_GENRE]], dtype=np.bytes_)
        self._bucket_names = np.array([name.encode() for name in features.POPULARITY_BUCKETS])

    def features_of(self, windows: NDArray[np.void]) -> dict[str, NDArray[np.generic]]:
        """Return the features of windows.

        Parameters
        ----------
        windows
            `window_dtype(max_context_length)[n]`.

        Returns
        -------
        dict[str, NDArray[np.generic]]
            Under the names of `data.features` arrays `[n, number of values]`.
        """
        codes = windows["movies"]
        return {
            features.CONTEXT_MOVIE_ID: self._ids[codes],
            features.CONTEXT_MOVIE_RATING: windows["stars"],
            features.CONTEXT_MOVIE_YEAR: self._years[codes],
            features.CONTEXT_MOVIE_GENRE: self._genres(codes),
            features.LABEL_MOVIE_ID: self._ids[windows["label"]][:, None],
            features.CONTEXT_LENGTH: windows["length"][:, None],
            features.LABEL_POPULARITY: self._bucket_names[windows["popularity"]][:, None],
        }

    def ids_of(self, codes: NDArray[np.int32]) -> NDArray[np.generic]:
        """Return the ids of movies, `[n]` to `[n]`."""
        return self._ids[codes]

    def timeline_features_of(self, rows: NDArray[np.void]) -> dict[str, NDArray[np.generic]]:
        """Return the features of train timelines, `TRAIN_TIMELINE_DTYPE[n]`: by name one value a row, `[n]`."""
        return {
            features.TIMELINE_MOVIE_ID: self._ids[rows["movie"]],
            features.TIMELINE_IS_LABEL: rows["is_label"].astype(np.int64),
        }

    def _genres(self, places: NDArray[np.int64]) -> NDArray[np.bytes_]:
        """Join the genres of each row's movies, `[n, context]` to `[n, max_context_movie_genre_length]`."""
        counts = self._genre_counts[places]
        firsts = np.cumsum(counts, axis=1) - counts
        codes = np.full((len(places), self._num_genres), len(self._genre_names) - 1, dtype=np.int64)
        # Every genre of every movie once: which row it belongs to, its column there, where its code lies.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts.ravel(), counts.ravel())
        rows = np.repeat(np.arange(len(places)), counts.sum(axis=1))
        columns = np.repeat(firsts.ravel(), counts.ravel()) + within
        sources = np.repeat(self._genre_starts[places].ravel(), counts.ravel()) + within
        fits = columns < self._num_genres
        codes[rows[fits], columns[fits]] = self._genre_codes[sources[fits]]
        return self._genre_names[codes]
