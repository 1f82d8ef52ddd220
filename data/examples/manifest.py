"""The manifest of a folder of generated examples, and the check of the folder against it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from data.errors import InputError
from data.examples.last_histories import LAST_HISTORIES_FILE, LastHistories
from data.examples.ratings_profile import RatingsProfile
from data.examples.shards import SPLITS, TIMELINES, Shard, ShardKind, file_sha256, shard_pattern
from data.examples.span_facts import EVENTS_FILE, TIMELINES_FILE, SpanFacts
from data.features import PAD_MOVIE_ID
from data.movie_ids import MovieId
from data.options import GenerateOptions, ReleaseName, SplitName
from data.request_log.facts import ServedFacts
from data.splits.division import LeftOut
from data.timelines.time_facts import TimeFacts

MANIFEST_FILE = "manifest.json"

FORMAT_VERSION = 2
"""The format of a folder: to be raised when equal options and an equal source begin to give other files.

2: the catalogue counts train labels by period. The examples are those of 1.
"""

_LIBRARIES = ("apache-beam", "numpy", "pyarrow", "tensorflow")

_LEFT_OUT_IF_NONE = ("span", "last_histories", "requests")
"""Keys of the file only where something is asked for: all other manifests keep their bytes."""


class DataSizes(BaseModel):
    """Sizes of the source and of the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: int
    """Train examples."""
    eval: int
    """Held-out examples."""
    ratings: int
    """Ratings in the source, before any filter."""
    users: int
    """Users in the source, before any filter."""
    movies: int
    """Movies in the catalogue."""


class Manifest(BaseModel):
    """The record that lies beside the shards; it holds no times, so that equal runs give equal bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    """See `FORMAT_VERSION`."""
    release: ReleaseName | None
    """The MovieLens release; None for own data, whose name the options hold."""
    source_digest: str
    """SHA-256 over the content of the release's ratings and movies files."""
    options: GenerateOptions
    """What the examples were generated with."""
    split: SplitName
    """The split, as in the options."""
    train_until: int | None = None
    """Time of the newest train label in seconds since 1970, where train ends at a time; else None."""
    counts: DataSizes
    """Sizes of the source and of the result."""
    times: TimeFacts | None = None
    """Users, times and ties of the timelines. None in manifests that version 0.1.0 wrote."""
    left_out: LeftOut | None = None
    """Labels that are not in eval since train shows neither user nor movie; None where the split keeps them."""
    shards: tuple[Shard, ...]
    """All shards, train first, in the order of their examples."""
    pad_movie_id: MovieId = PAD_MOVIE_ID
    """What stands for no movie in the examples: a text where ids are texts. No movie has this id."""
    max_rating: float | None = None
    """The highest rating of own data; None for a release, which says so itself."""
    catalogue_file: str
    """The catalogue's name within the folder."""
    catalogue_sha256: str
    """The digest of the catalogue's content."""
    libraries: dict[str, str]
    """Versions of Python and of the libraries that took part."""
    profile: RatingsProfile | None = None
    """The ratings behind the examples, for people to look at; None in manifests of earlier versions."""
    span: SpanFacts | None = None
    """Which span of a series it is; None, and left out of the file, for data that stand for themselves."""
    last_histories: LastHistories | None = None
    """The file of the users' last histories; None, and no key of the file, where none is asked for."""
    requests: ServedFacts | None = None
    """What served requests were like beside train; None, and no key of the file, where no request log was given."""

    @model_serializer(mode="wrap")
    def _leave_out_absent(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if value is not None or name not in _LEFT_OUT_IF_NONE}

    @property
    def is_current(self) -> bool:
        """Whether the files are of the format that this version writes."""
        return self.format_version == FORMAT_VERSION

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read the manifest of a folder.

        Raises
        ------
        InputError
            The folder holds no manifest, or one that can't be read.
        """
        path = folder / MANIFEST_FILE
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            within = sorted(found.parent.name for found in folder.glob(f"*/{MANIFEST_FILE}"))
            if within:
                raise InputError(
                    f"{folder} holds no {MANIFEST_FILE}, but folders that do: name one of {', '.join(within)} there",
                    code="G01",
                ) from error
            raise InputError(
                f"{folder} holds no {MANIFEST_FILE}; run `python -m data.generate --release NAME --output {folder}`",
                code="G01",
            ) from error
        except OSError as error:
            raise InputError(f"{path} is not a readable manifest; generate the data again", code="G02") from error
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, place: str) -> Manifest:
        """Return the manifest from the content of its file.

        Parameters
        ----------
        content
            The file's bytes.
        place
            The file's name in errors.

        Raises
        ------
        InputError
            The content is not a manifest.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise InputError(f"{place} is not a readable manifest; generate the data again", code="G02") from error

    def save(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        text = json.dumps(self.model_dump(mode="json"), indent=2)
        (folder / MANIFEST_FILE).write_text(f"{text}\n", encoding="utf-8")

    def replace(self, folder: Path) -> None:
        """Put the manifest into the place of a folder's own, in one rename."""
        with tempfile.TemporaryDirectory(prefix=".manifest-", dir=folder.parent) as staging:
            self.save(Path(staging))
            (Path(staging) / MANIFEST_FILE).replace(folder / MANIFEST_FILE)

    @property
    def data_set(self) -> str:
        """The release, or the name of own data."""
        return self.options.data_set

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of what determines the content: not of the library versions."""
        content = self.model_dump(
            mode="json",
            include={"format_version", "options", "shards", "catalogue_sha256", "source_digest", "last_histories"},
        )
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def shards_of(self, split: ShardKind) -> tuple[Shard, ...]:
        """Return the shards of a split, or of the timelines: none where they were not asked for."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def verify(self, folder: Path) -> None:
        """Compare a folder's files with the manifest.

        Raises
        ------
        InputError
            A file is missing, differs, or is one shard too many.
        """
        expected = {shard.name: shard.sha256 for shard in self.shards}
        for kind in (*SPLITS, TIMELINES):
            for path in sorted(folder.glob(shard_pattern(kind))):
                if path.name not in expected:
                    raise InputError(
                        f"{path} is not in the manifest; remove it, or generate the data again", code="G03"
                    )
        sizes = {shard.name: shard.bytes for shard in self.shards}
        expected[self.catalogue_file] = self.catalogue_sha256
        if self.span is not None:
            expected.update({EVENTS_FILE: self.span.events_sha256, TIMELINES_FILE: self.span.timelines_sha256})
        if self.last_histories is not None:
            expected[LAST_HISTORIES_FILE] = self.last_histories.sha256
        for name, digest in expected.items():
            path = folder / name
            if not path.is_file():
                raise InputError(f"{path} is missing; generate the data again", code="G04")
            try:
                matches = path.stat().st_size == sizes.get(name, path.stat().st_size)
                matches = matches and file_sha256(path) == digest
            except OSError as error:
                raise InputError(f"{path} can't be read: {error.strerror or error}", code="G05") from error
            if not matches:
                raise InputError(f"{path} differs from what was generated; generate the data again", code="G04")


def library_versions(names: Sequence[str] = _LIBRARIES) -> dict[str, str]:
    """Return the installed versions of Python and of libraries, by default those that write examples, unimported."""
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(name: str) -> str:
    # TensorFlow also comes without its kernels for GPUs, as in the image.
    for distribution in (name, f"{name}-cpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return "unknown"
