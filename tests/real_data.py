"""Real MovieLens data for tests, none of which may lie in the repository."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES_VARIABLE = "MOVIELENS_SOURCES"
"""A folder that holds `ml-latest-small/`, and perhaps `ml-100k/`, as GroupLens publishes them."""

_WHEEL = "recbole==1.2.1"
_MEMBER = "recbole/dataset_example/ml-100k"
_DIGESTS = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}
_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


class Unavailable(Exception):  # noqa: N818
    """Real data can't be had here, for the reason given."""


def ml_latest_small() -> Path:
    """Find ml-latest-small.

    Raises
    ------
    Unavailable
        `MOVIELENS_SOURCES` is not set, or its folder lacks the release.
    """
    base = os.environ.get(SOURCES_VARIABLE)
    if not base:
        raise Unavailable(f"{SOURCES_VARIABLE} is not set to a folder that holds ml-latest-small/")
    folder = Path(base) / "ml-latest-small"
    if not (folder / "ratings.csv").is_file():
        raise Unavailable(f"{SOURCES_VARIABLE} is set, but {folder} lacks ratings.csv")
    return folder


def ml_100k(cache_dir: Path) -> Path:
    """Find ML-100K, or make it from the copy that a public Python package carries.

    Parameters
    ----------
    cache_dir
        Keeps what was made.

    Raises
    ------
    Unavailable
        It is not in `MOVIELENS_SOURCES`, and the package index can't be reached.
    """
    base = os.environ.get(SOURCES_VARIABLE)
    if base and (Path(base) / "ml-100k" / "u.data").is_file():
        return Path(base) / "ml-100k"
    folder = cache_dir / "ml-100k"
    if not (folder / "u.data").is_file():
        with tempfile.TemporaryDirectory() as scratch:
            _download_wheel(Path(scratch))
            convert_ml_100k(Path(scratch), folder)
    return folder


def convert_ml_100k(atomic_files: Path, folder: Path) -> None:
    """Write RecBole's form of ML-100K (`ml-100k.inter`, `ml-100k.item`) in GroupLens's.

    RecBole moves the year out of the title; it is put back as "Title (1995)".
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (atomic_files / "ml-100k.item").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    with (folder / "u.item").open("w", encoding="latin-1", errors="replace", newline="") as file:
        for movie, title, year, genres in rows:
            flags = "|".join("1" if genre in genres.split() else "0" for genre in _GENRES)
            file.write(
                f"{movie}|{title} ({year})|01-Jan-{year}|||{flags}\n" if year else f"{movie}|{title}||||{flags}\n"
            )
    lines = (atomic_files / "ml-100k.inter").read_text(encoding="utf-8").splitlines()[1:]
    # Last, because its presence says that the folder is complete.
    (folder / "u.data").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _download_wheel(folder: Path) -> None:
    """Unpack the wheel into a folder of its own; nothing is installed and nothing of it runs."""
    unpacked = folder / "wheel"
    reason = "neither pip nor uv is there"
    for installer in _installers():
        command = [*installer, "install", "--quiet", "--no-deps", "--target", str(unpacked), _WHEEL]
        try:
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = f"{installer[0]}: {type(error).__name__}"
            continue
        if done.returncode == 0:
            break
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    else:
        raise Unavailable(f"{_WHEEL}, which carries ML-100K, could not be downloaded: {reason}")
    for name, expected in _DIGESTS.items():
        content = (unpacked / _MEMBER / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise AssertionError(f"{name} of {_WHEEL} is not the known one")
        (folder / name).write_bytes(content)


def _installers() -> list[list[str]]:
    """List what may fetch a wheel here: an environment made by uv has no pip."""
    project_uv = Path(__file__).resolve().parent.parent / ".tools" / "bin" / "uv"
    found_uv = shutil.which("uv") or (str(project_uv) if project_uv.is_file() else None)
    pip = shutil.which("pip")
    return [
        [sys.executable, "-m", "pip"],
        *([[found_uv, "pip"]] if found_uv else []),
        *([[pip]] if pip else []),
    ]
