"""The MovieLens releases: where they are, what their files are called and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.errors import InputError
from data.options import RELEASE_NAMES
from data.releases.archives import Source, open_source
from data.releases.download import RemoteArchive, default_cache_dir, fetch, is_reachable, matches


@dataclass(frozen=True)
class RatingsFormat:
    """How a ratings file is written."""

    delimiter: str
    columns: tuple[str, ...]
    """`user`, `movie`, `stars` and `time` in the file's order, or "" for a column that is always empty."""
    header: tuple[str, ...] | None
    """The first line's names, if it holds names."""


@dataclass(frozen=True)
class Release:
    """One published state of the MovieLens data."""

    name: str
    ratings_file: str
    movies_file: str
    ratings_format: RatingsFormat
    movies_format: Literal["csv", "dat", "u.item"]
    min_stars: float
    max_stars: float
    half_stars: bool
    archive: RemoteArchive | None
    """None for the sample, which is made here."""

    @property
    def files(self) -> tuple[str, str]:
        """The names of the files that are read."""
        return (self.ratings_file, self.movies_file)


_CSV = RatingsFormat(",", ("user", "movie", "stars", "time"), ("userId", "movieId", "rating", "timestamp"))
_TABS = RatingsFormat("\t", ("user", "movie", "stars", "time"), None)
# Split at single colons, the delimiter `::` leaves an empty column between any two.
_DOUBLE_COLONS = RatingsFormat(":", ("user", "", "movie", "", "stars", "", "time"), None)

_SITE = "https://files.grouplens.org/datasets/movielens"


def _in_dat(name: str, archive: RemoteArchive, *, half_stars: bool) -> Release:
    """Return a release whose columns stand between double colons."""
    return Release(
        name=name,
        ratings_file="ratings.dat",
        movies_file="movies.dat",
        ratings_format=_DOUBLE_COLONS,
        movies_format="dat",
        min_stars=0.5 if half_stars else 1.0,
        max_stars=5.0,
        half_stars=half_stars,
        archive=archive,
    )


def _in_csv(name: str, archive: RemoteArchive | None) -> Release:
    """Return a release in CSV, all of which have half stars."""
    return Release(
        name=name,
        ratings_file="ratings.csv",
        movies_file="movies.csv",
        ratings_format=_CSV,
        movies_format="csv",
        min_stars=0.5,
        max_stars=5.0,
        half_stars=True,
        archive=archive,
    )


# Where GroupLens publishes an MD5 beside the archive, it is that. What it replaces from time to time has no digest.
_RELEASES = {
    release.name: release
    for release in (
        _in_dat(
            "ml-1m",
            RemoteArchive(
                f"{_SITE}/ml-1m.zip",
                size=5_917_549,
                digest=("sha256", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"),
            ),
            half_stars=False,
        ),
        Release(
            name="ml-100k",
            ratings_file="u.data",
            movies_file="u.item",
            ratings_format=_TABS,
            movies_format="u.item",
            min_stars=1.0,
            max_stars=5.0,
            half_stars=False,
            archive=RemoteArchive(f"{_SITE}/ml-100k.zip", digest=("md5", "0e33842e24a9c977be4e0107933c0723")),
        ),
        _in_dat(
            "ml-10m",
            RemoteArchive(f"{_SITE}/ml-10m.zip", size=65_566_137, digest=("md5", "ce571fd55effeba0271552578f2648bd")),
            half_stars=True,
        ),
        _in_csv(
            "ml-20m",
            RemoteArchive(f"{_SITE}/ml-20m.zip", size=198_702_078, digest=("md5", "cd245b17a1ae2cc31bb14903e1204af3")),
        ),
        _in_csv(
            "ml-25m",
            RemoteArchive(f"{_SITE}/ml-25m.zip", size=261_978_986, digest=("md5", "6b51fb2759a8657d3bfcbfc42b592ada")),
        ),
        _in_csv(
            "ml-32m",
            RemoteArchive(f"{_SITE}/ml-32m.zip", size=238_950_008, digest=("md5", "d472be332d4daa821edc399621853b57")),
        ),
        _in_csv("ml-latest", RemoteArchive(f"{_SITE}/ml-latest.zip")),
        _in_csv("ml-latest-small", RemoteArchive(f"{_SITE}/ml-latest-small.zip")),
        _in_csv("sample", archive=None),
    )
}


def find_release(name: str) -> Release:
    """Return a release by its name.

    Raises
    ------
    InputError
        There is no such release.
    """
    if name not in _RELEASES:
        raise InputError(f"there is no release {name!r}; known are {', '.join(RELEASE_NAMES)}", code="C08")
    return _RELEASES[name]


def available(name: str, cache_dir: Path | None = None, timeout: float = 5.0) -> bool:
    """Return whether a release is in the cache or its server answers.

    Parameters
    ----------
    name
        The release; the sample is always available.
    cache_dir
        Where downloads are kept; by default that of `default_cache_dir`.
    timeout
        Seconds that the server has for its answer.
    """
    release = find_release(name)
    if release.archive is None:
        return True
    cached = _cached_archive(release, cache_dir or default_cache_dir())
    return matches(release.archive, cached) or is_reachable(release.archive, timeout)


def obtain(release: Release, source: Path | None, cache_dir: Path | None, progress: Callable[[str], None]) -> Source:
    """Open a release's files: those that the user has, the cached ones, or after a download.

    Parameters
    ----------
    release
        Which files are looked for. It must have an archive unless `source` is given.
    source
        The user's own zip archive or folder; it need not be the published state.
    cache_dir
        Where downloads are kept; by default that of `default_cache_dir`.
    progress
        Called with a line of text now and then.

    Raises
    ------
    InputError
        The files can't be had or can't be used.
    """
    archive = release.archive
    if source is not None:
        opened = open_source(source, release.files)
        if archive is not None and archive.digest is not None and source.is_file() and not matches(archive, source):
            progress(f"note: {source} is not the published {release.name}; it is used as it is")
        return opened
    if archive is None:
        raise InputError(f"the release {release.name} is not downloaded; pass its folder as the source", code="D10")
    cached = _cached_archive(release, cache_dir or default_cache_dir())
    if not matches(archive, cached):
        fetch(archive, cached, progress)
    return open_source(cached, release.files)


def _cached_archive(release: Release, cache_dir: Path) -> Path:
    return cache_dir / f"{release.name}.zip"
