"""Files that a person names, by a path, a pattern or the address of an object store, and how each is opened."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from data.errors import InputError, one_line

FORMATS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""Formats by the ends of names, behind which `.gz` may stand."""

_ADDRESS = re.compile(r"[a-z][a-z0-9]*://")
_PATTERN = re.compile(r"[*?\[]")
_GZIP_FACTOR = 5
"""How many times its size a compressed file, Parquet among them, is taken to expand to."""


@dataclass(frozen=True)
class DataFile:
    """One file, on any file system that Arrow knows."""

    system: pafs.FileSystem
    path: str
    label: str
    """Its name in messages."""
    size: int
    """In bytes."""

    @property
    def format(self) -> str:
        """One of the values of `FORMATS`."""
        return FORMATS[PurePosixPath(self.path.removesuffix(".gz")).suffix]

    @property
    def text_size(self) -> int:
        """About how many bytes it would have as text."""
        return self.size * (_GZIP_FACTOR if self.path.endswith(".gz") or self.format == "parquet" else 1)

    def open(self) -> pa.NativeFile:
        """Open the content as a stream, decompressed; Parquet as a file that can be sought in."""
        if self.format == "parquet":
            return self.system.open_input_file(self.path)
        return self.system.open_input_stream(self.path, compression="gzip" if self.path.endswith(".gz") else None)

    def sha256(self) -> str:
        """Return the digest of the file as it lies there, in hexadecimal."""
        digest = hashlib.sha256()
        with self.system.open_input_stream(self.path, compression=None) as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()


def find_files(pattern: str) -> list[DataFile]:
    """Return the files that a path, a pattern or an address such as `s3://bucket/events/*.parquet` names.

    Parameters
    ----------
    pattern
        Its last part may hold `*`, `?` and `[...]`; of a path on this machine any part.

    Returns
    -------
    list
        At least one, in the order of their names.

    Raises
    ------
    InputError
        There are none, they can't be read, or a name does not end in one of `FORMATS`.
    """
    try:
        found = _in_store(pattern) if _ADDRESS.match(pattern) else _on_this_machine(pattern)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{pattern} can't be read: {one_line(error)}", code="D23") from error
    if not found:
        raise InputError(f"there is no file {pattern}: name a file, or a pattern that files match", code="D23")
    for file in found:
        if PurePosixPath(file.path.removesuffix(".gz")).suffix not in FORMATS or file.path.endswith(".parquet.gz"):
            raise InputError(
                f"{file.label} is of no known format: its name has to end in {', '.join(FORMATS)}, "
                "and in .gz if it is gzipped, which Parquet may not be",
                code="D24",
            )
    return found


def content_digest(files: Sequence[DataFile]) -> str:
    """Return the digest of the files' content, in hexadecimal, whatever their names and order.

    Raises
    ------
    InputError
        A file can't be read.
    """
    digests: list[str] = []
    try:
        digests.extend(file.sha256() for file in files)
    except OSError as error:
        raise InputError(f"{files[len(digests)].label} can't be read: {one_line(error)}", code="D23") from error
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _on_this_machine(pattern: str) -> list[DataFile]:
    # A file whose name holds the signs of a pattern is meant by its name.
    system = pafs.LocalFileSystem()
    named = system.get_file_info(pattern)
    paths = [pattern] if named.is_file else sorted(glob.glob(str(Path(pattern).expanduser())))  # noqa: PTH207, also absolute
    infos = [system.get_file_info(path) for path in paths]
    return [DataFile(system, info.path, info.path, info.size) for info in infos if info.is_file]


def _in_store(pattern: str) -> list[DataFile]:
    # Behind a question mark stands a sign of a pattern, or what Arrow asks of a store: `endpoint_override=...`.
    address, question, query = pattern.rpartition("?")
    if "=" not in query:
        address, question, query = pattern, "", ""
    scheme = address[: address.index("://") + 3]
    folder, _, last = address.rpartition("/")
    has_pattern = bool(_PATTERN.search(last))
    system, path = pafs.FileSystem.from_uri(f"{folder if has_pattern else address}{question}{query}")
    if has_pattern:
        infos = system.get_file_info(pafs.FileSelector(path))
        infos = [info for info in infos if fnmatchcase(PurePosixPath(info.path).name, last)]
    else:
        infos = [system.get_file_info(path)]
    return [
        DataFile(system, info.path, f"{scheme}{info.path}", info.size)
        for info in sorted(infos, key=lambda info: info.path)
        if info.is_file
    ]
