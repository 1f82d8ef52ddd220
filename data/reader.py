"""What generation reads: a release, or a person's own files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.releases.catalogue import Catalogue


class Reader(Protocol):
    """Ratings and movies of one data set. Everything but its label and size raises `InputError` on faulty files."""

    label: str
    """Its name in messages."""

    @property
    def text_size(self) -> int:
        """About how many bytes the ratings have as text."""

    @property
    def num_unlisted(self) -> int:
        """How many rated movies no list of movies names, if there is one; known after `catalogue`."""

    def check_beginning(self) -> None:
        """Read the first block: what is wrong with it is told at once, however large the files are."""

    def digest(self) -> str:
        """Return the digest of the content, in hexadecimal."""

    def ratings(self) -> Iterator[NDArray[np.void]]:
        """Yield all ratings, `RATING_DTYPE[n]` each; movies bear numbers of the reader's."""

    def catalogue(self, rated: NDArray[np.int32]) -> Catalogue:
        """Return the catalogue of the listed movies and of the rated ones, int32 `[n]` in the reader's numbers."""

    def codes_of(self, catalogue: Catalogue) -> Callable[[NDArray[np.int32]], NDArray[np.int64]]:
        """Return what turns the reader's numbers into the catalogue's codes, `[n]` to `[n]`."""

    def users_of(self, numbers: NDArray[np.uint64]) -> pa.Array:
        """Return the users' own ids, `[n]`, for the numbers `[n]` that ratings hold; known after `ratings`."""

    def report_repeat(self, rating: NDArray[np.void], progress: Callable[[str], None]) -> None:
        """Refuse a rating that occurs again, a `RATING_DTYPE` scalar, or note that such ratings are kept."""
