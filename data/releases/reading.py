"""A MovieLens release, read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.errors import InputError
from data.releases.archives import Source, source_digest
from data.releases.catalogue import Catalogue, Movie
from data.releases.movies_list import read_movies
from data.releases.parsing import find_repeats, read_ratings
from data.releases.release import Release


class ReleaseReader:
    """A release's ratings and movies: see `data.reader.Reader`. Movies are numbered by their ids."""

    def __init__(self, source: Source, release: Release) -> None:
        self.label = source.label
        self.num_unlisted = 0
        self._source = source
        self._release = release
        self._movies: list[Movie] = []

    @property
    def text_size(self) -> int:
        """The size of the ratings' file in bytes."""
        return self._source.size(self._release.ratings_file)

    def check_beginning(self) -> None:
        """Read the list of movies and the first block of ratings."""
        next(self.ratings(), None)

    def digest(self) -> str:
        """Return the digest of the release's files."""
        return source_digest(self._source, self._release.files)

    def ratings(self) -> Iterator[NDArray[np.void]]:
        """Yield the ratings in the file's order. The list of movies, a small file, is read first."""
        self._movies = self._movies or read_movies(self._source, self._release)
        yield from read_ratings(self._source, self._release)

    def catalogue(self, rated: NDArray[np.int32]) -> Catalogue:
        """Return the listed movies and stand-ins for those that are only rated."""
        catalogue = Catalogue.of(self._movies, rated.tolist())
        self.num_unlisted = len(catalogue) - len(self._movies)
        return catalogue

    def codes_of(self, catalogue: Catalogue) -> Callable[[NDArray[np.int32]], NDArray[np.int64]]:
        """Return the catalogue's own look-up."""
        return catalogue.codes_of

    def users_of(self, numbers: NDArray[np.uint64]) -> pa.Array:
        """Return the numbers: a release's users are integers."""
        return pa.array(numbers.astype(np.int64))

    def report_repeat(self, rating: NDArray[np.void], progress: Callable[[str], None]) -> None:
        """Refuse a rating that stands twice."""
        first, second, *_ = find_repeats(self._source, self._release, rating)
        raise InputError(
            f"{self.label}: {self._release.ratings_file} line {second}: is the same rating as line {first}", code="D22"
        )
