"""Compressed TFRecord shards: their names, and how one is written.

zlib takes more than half of the time and lets other threads run: each shard is encoded one slice ahead.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
import zlib
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from data import features
from data.examples.encoding import Ragged, encode_examples, encode_ragged
from data.examples.feature_table import FeatureTable
from data.examples.records import frame_records
from data.timelines.windows import spans

Split = Literal["train", "eval"]
SPLITS: tuple[Split, ...] = ("train", "eval")

ShardKind = Literal["train", "eval", "timelines"]
"""A split, whose shards hold windows, or train timelines."""

TIMELINES: Literal["timelines"] = "timelines"

RATINGS_PER_SHARD = 250_000
"""A shard of this many examples takes 15 MB on disk and, with contexts of 10, 25 MB in memory to be sorted."""

_EXAMPLES_PER_SLICE = 4_096
"""The bytes and masks of a slice take 4 MB, which the processor's caches hold."""

_HISTORIES_PER_SLICE = 512
"""Where examples hold whole histories, each takes the bytes of the slice's longest, perhaps thousands of movies."""

_GZIP_LEVEL = 1
"""Takes a third of the time of the default and makes shards a tenth larger."""
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
_GZIP_MEMORY = zlib.DEF_MEM_LEVEL + 1
"""As TensorFlow's writer sets it; readers don't depend on it."""


class WritableFile(Protocol):
    """What takes bytes: Python's files and Arrow's."""

    def write(self, content: bytes, /) -> object:
        """Write the bytes behind those that were written before."""


class Shard(BaseModel):
    """A shard as the manifest knows it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """The file's name within the output folder."""

    split: ShardKind
    """Which split its examples belong to; or that it holds train timelines."""

    examples: int
    """How many examples, or timelines, it holds."""

    bytes: int
    """The file's size."""

    sha256: str
    """The digest of the file's content, in hexadecimal."""


def shard_pattern(split: ShardKind) -> str:
    """Return the pattern that all shards of a kind match."""
    return f"{split}-*"


def shard_name(split: ShardKind, index: int, count: int) -> str:
    """Return a shard's file name, as TensorFlow names shards.

    >>> shard_name("train", 0, 4)
    'train-00000-of-00004.tfrecord.gz'
    """
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord.gz"


def shard_indices(orders: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Return the shards of order keys, `[n]` to int64 `[n]`; their range is divided evenly.

    Later shards hold larger keys: read one after the other, shards of any number give the same sequence.
    """
    upper = orders >> np.uint64(32)
    return ((upper * np.uint64(count)) >> np.uint64(32)).astype(np.int64)


def write_shard(
    folder: Path,
    work: Path,
    name: str,
    split: ShardKind,
    parts: Iterable[NDArray[np.void]],
    table: FeatureTable,
    histories: Iterable[NDArray[np.int32]] = (),
) -> Shard:
    """Write windows as examples, or train timelines, in the order of their keys.

    The file is written under a temporary name and renamed: it is complete once it is there.

    Parameters
    ----------
    folder
        Where the shard goes.
    work
        Takes the temporary file, on the same file system.
    name, split, parts, table, histories
        As for `encode_shard`.

    Raises
    ------
    OSError
        The file can't be written.
    """
    temporary = work / f"{name}.{uuid.uuid4().hex}"
    with temporary.open("wb") as file:
        shard = encode_shard(file, name, split, parts, table, histories)
    temporary.replace(folder / name)
    return shard


def encode_shard(
    file: WritableFile,
    name: str,
    split: ShardKind,
    parts: Iterable[NDArray[np.void]],
    table: FeatureTable,
    histories: Iterable[NDArray[np.int32]] = (),
) -> Shard:
    """Write windows into an open file as examples, or train timelines, in the order of their keys.

    Parameters
    ----------
    file
        Takes the bytes.
    name, split
        From `shard_name`.
    parts
        `window_dtype(...)[n]` each, in any order; of timelines `TRAIN_TIMELINE_DTYPE[n]`, each timeline whole.
    table
        Looks up years and genres.
    histories
        Of each part the codes of its windows' histories, one after the other; nothing where there are none.

    Returns
    -------
    Shard
        What the manifest records.

    Raises
    ------
    OSError
        The file can't be written.
    """
    given = list(parts)
    if split == TIMELINES:
        slices, number = _timeline_slices(given, table)
    else:
        slices, number = _window_slices(given, histories, table)
    digest, size = hashlib.sha256(), 0
    with closing(_one_ahead(slices)) as encoded:
        for compressed in _compressed(encoded):
            digest.update(compressed)
            size += len(compressed)
            file.write(compressed)
    return Shard(name=name, split=split, examples=number, bytes=size, sha256=digest.hexdigest())


def _window_slices(
    parts: list[NDArray[np.void]], histories: Iterable[NDArray[np.int32]], table: FeatureTable
) -> tuple[Iterator[bytes], int]:
    """Return the records of windows in slices, and how many there are."""
    windows = np.concatenate(parts) if parts else np.empty(0, dtype=np.void)
    ordered = np.argsort(windows["order"]) if len(windows) else np.empty(0, dtype=np.int64)
    seen = np.concatenate([np.empty(0, np.int32), *histories])
    ends = np.cumsum(windows["seen"], dtype=np.int64) if len(windows) else np.empty(0, dtype=np.int64)
    step = _EXAMPLES_PER_SLICE if not len(seen) else _HISTORIES_PER_SLICE
    slices = (
        frame_records(encode_examples(_features(windows, seen, ends, ordered[start : start + step], table)))
        for start in range(0, len(ordered), step)
    )
    return slices, len(ordered)


def _timeline_slices(parts: list[NDArray[np.void]], table: FeatureTable) -> tuple[Iterator[bytes], int]:
    """Return the records of train timelines in slices, and how many there are."""
    rows = np.concatenate(parts) if parts else np.empty(0, dtype=[("order", "<u8")])
    # Stable: a timeline's rows share a key, and keep the order of time.
    ordered = np.argsort(rows["order"], kind="stable")
    starts = _starts(rows["order"][ordered])
    bounds = [*starts[::_EXAMPLES_PER_SLICE].tolist(), len(rows)]
    slices = (
        frame_records(_encode_timelines(rows[ordered[start:stop]], table)) for start, stop in itertools.pairwise(bounds)
    )
    return slices, len(starts)


def _encode_timelines(rows: NDArray[np.void], table: FeatureTable) -> list[bytes]:
    starts = _starts(rows["order"])
    return encode_ragged(table.timeline_features_of(rows), np.diff(starts, append=len(rows)))


def _starts(orders: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return where another key begins in keys that are in order."""
    is_start = np.ones(len(orders), dtype=bool)
    is_start[1:] = orders[1:] != orders[:-1]
    return np.flatnonzero(is_start)


def _features(
    windows: NDArray[np.void],
    seen: NDArray[np.int32],
    ends: NDArray[np.int64],
    rows: NDArray[np.int64],
    table: FeatureTable,
) -> dict[str, NDArray[np.generic] | Ragged]:
    """Return the features of some rows, with their histories if there are any, which end at `ends` in `seen`."""
    chosen = windows[rows]
    found: dict[str, NDArray[np.generic] | Ragged] = dict(table.features_of(chosen))
    if len(seen):
        lengths = chosen["seen"].astype(np.int64)
        codes = seen[spans(ends[rows] - lengths, lengths)]
        found[features.SEEN_MOVIE_ID] = Ragged(table.ids_of(codes), lengths)
    return found


def _one_ahead(items: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Compute an item in a thread while the one before it is used, and no more than that."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Compress pieces into one gzip file."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT, _GZIP_MEMORY)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises
    ------
    OSError
        The file can't be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
