"""A release's files, read in place from a folder or a zip archive."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from data.errors import InputError

MAX_EXPANDED_BYTES = 16 << 30
"""The most that an archive may expand to; MovieLens-32M expands to less than 1 GiB."""

MAX_EXPANSION = 100
"""How many times its size an entry may expand to: MovieLens 5 times, text that is made to fill a disk 1,000 times."""

_SMALL_ENTRY = 1 << 20

READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError)
"""What reading a damaged file or archive may raise."""


class Source(Protocol):
    """Where a release's files are read from."""

    label: str
    """Its name in messages."""

    def open(self, name: str) -> IO[bytes]:
        """Open one of the release's files by its name; the caller closes it."""

    def size(self, name: str) -> int:
        """Return the size of one of the release's files, in bytes."""


class FolderSource:
    """A release as an unpacked folder.

    Parameters
    ----------
    folder
        Holds the files, or holds one folder that does.
    names
        The files that are needed.

    Raises
    ------
    InputError
        Some of the files are missing, or lie in several of its folders.
    """

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.label = str(folder)
        candidates = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
        complete = [place for place in candidates if all((place / name).is_file() for name in names)]
        if len(complete) > 1 and complete[0] != folder:
            found = ", ".join(place.name for place in complete)
            raise InputError(
                f"{folder} holds {names[0]} more than once, in {found}; give one of these folders", code="D06"
            )
        if not complete:
            missing = [name for name in names if not (folder / name).is_file()]
            raise InputError(
                f"{folder} lacks {' and '.join(missing)}; "
                f"a folder or zip archive with {' and '.join(names)} is expected",
                code="D05",
            )
        self._folder = complete[0]

    def open(self, name: str) -> IO[bytes]:
        """Open one of the release's files by its name; the caller closes it."""
        return (self._folder / name).open("rb")

    def size(self, name: str) -> int:
        """Return the size of one of the release's files, in bytes."""
        return (self._folder / name).stat().st_size


class ZipSource:
    """A release as a zip archive, which is never unpacked to disk.

    Parameters
    ----------
    path
        The archive. The files lie at its top or in one folder.
    names
        The files that are needed.

    Raises
    ------
    InputError
        It is not a zip archive, it is damaged, some of the files are missing or there twice, or an entry
        is one that no MovieLens archive has: a path that leaves the archive, a link, an encrypted file,
        or one that expands out of proportion.
    """

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.label = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except READ_ERRORS as error:
            if not _begins_like_a_zip(path):
                raise InputError(
                    f"{path} is not a zip archive; give the folder that holds {' and '.join(names)}",
                    code="D03",
                ) from error
            raise InputError(f"{path} is not a readable zip archive; fetch it again", code="D04") from error
        entries = self._archive.infolist()
        _check_entries(path, entries)
        self._members = {name: _find_member(path, entries, name, names) for name in names}

    def open(self, name: str) -> IO[bytes]:
        """Open one of the release's files by its name; the caller closes it."""
        return self._archive.open(self._members[name])

    def size(self, name: str) -> int:
        """Return the size of one of the release's files, in bytes."""
        return self._members[name].file_size


def _begins_like_a_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def open_source(path: Path, names: tuple[str, ...]) -> Source:
    """Open a release that the user has, a folder or a zip archive.

    Parameters
    ----------
    path
        The folder or the archive.
    names
        The files that are needed.

    Raises
    ------
    InputError
        There is nothing at the path, or what is there can't be used.
    """
    try:
        if path.is_dir():
            return FolderSource(path, names)
        if path.is_file():
            return ZipSource(path, names)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}", code="D02") from error
    raise InputError(f"{path} does not exist; give the release's zip archive or its folder", code="D01")


def source_digest(source: Source, names: tuple[str, ...]) -> str:
    """Return the digest of a release's files, in hexadecimal; a folder and a zip of the same data have the same.

    Raises
    ------
    InputError
        A file is damaged.
    """
    overall = hashlib.sha256()
    for name in names:
        content = hashlib.sha256()
        with reading(source, name), source.open(name) as file:
            while chunk := file.read(1 << 20):
                content.update(chunk)
        overall.update(f"{name} {content.hexdigest()}\n".encode())
    return overall.hexdigest()


@contextmanager
def reading(source: Source, name: str) -> Iterator[None]:
    """Turn what a file raises while it is read, damaged or refused by the system, into an `InputError`."""
    try:
        yield
    except READ_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            # The system's own word. What gzip and zipfile find has no number.
            raise InputError(f"{source.label}: {name} can't be read: {error.strerror}", code="D02") from error
        raise InputError(f"{source.label}: {name} is damaged ({error}); fetch it again", code="D04") from error


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        name = entry.filename
        if ".." in parts or name.startswith("/") or "\\" in name or ":" in name.partition("/")[0]:
            raise InputError(f"{path}: the entry {entry.filename!r} leads out of the archive; not used", code="D07")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{path}: the entry {entry.filename!r} is a symbolic link; not used", code="D07")
        if entry.flag_bits & 0x1:
            raise InputError(f"{path}: the entry {entry.filename!r} is encrypted; not used", code="D07")
        out_of_proportion = entry.file_size > MAX_EXPANSION * max(entry.compress_size, 1)
        if entry.file_size > _SMALL_ENTRY and out_of_proportion:
            raise InputError(
                f"{path}: the entry {entry.filename!r} expands more than {MAX_EXPANSION} times; not used", code="D07"
            )
    if sum(entry.file_size for entry in entries) > MAX_EXPANDED_BYTES:
        raise InputError(f"{path} expands to more than {MAX_EXPANDED_BYTES >> 30} GiB; not used", code="D07")


def _find_member(path: Path, entries: list[zipfile.ZipInfo], name: str, names: tuple[str, ...]) -> zipfile.ZipInfo:
    found = [
        entry
        for entry in entries
        if PurePosixPath(entry.filename).name == name and len(PurePosixPath(entry.filename).parts) <= 2
    ]
    if not found:
        raise InputError(
            f"{path} lacks {name}; a folder or zip archive with {' and '.join(names)} is expected", code="D05"
        )
    if len(found) > 1:
        raise InputError(
            f"{path} holds {name} more than once; a folder or zip archive with {' and '.join(names)} is expected",
            code="D06",
        )
    return found[0]
