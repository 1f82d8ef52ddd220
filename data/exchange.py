"""The folder through which a job's workers and its client hand each other files: on a disk, or in an object store."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from data.errors import InputError, one_line

_ADDRESS = re.compile(r"[a-z][a-z0-9]*://")
_CHUNK = 1 << 20


class UnseenFileError(Exception):
    """A worker can't read what the client or another worker wrote."""

    MARK = "the exchange folder is not seen here"
    """What the message begins with: engines hand on nothing but the text of a worker's error."""


@dataclass(frozen=True)
class Exchange:
    """A folder of files that are complete once they are there: an engine may run any step twice.

    Attributes
    ----------
    address
        A folder's path, or an address that Arrow knows, such as `s3://bucket/folder`, behind which a store's options
        may stand: `?endpoint_override=...`.
    """

    address: str

    @classmethod
    def below(cls, parent: str) -> Exchange:
        """Return an empty exchange folder of a new name within a folder or an object store.

        Raises
        ------
        InputError
            Nothing can be written there.
        """
        base, question, query = parent.partition("?")
        made = cls(f"{base.rstrip('/')}/next-movie-{uuid.uuid4().hex[:12]}{question}{query}")
        try:
            made.write("begun", b"")
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{base} can't be written: {one_line(error)}; name a --temp_location, a folder or an object store, "
                "that this machine and all workers see",
                code="F16",
            ) from error
        return made

    @cached_property
    def _place(self) -> tuple[pafs.FileSystem, str]:
        if _ADDRESS.match(self.address):
            return pafs.FileSystem.from_uri(self.address)
        return pafs.LocalFileSystem(), self.address

    def __getstate__(self) -> dict[str, str]:
        """Leave out the client of the store: each worker opens its own."""
        return {"address": self.address}

    def __setstate__(self, state: dict[str, str]) -> None:
        """Take the address."""
        object.__setattr__(self, "address", state["address"])

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises
        ------
        UnseenFileError
            It is not there, or can't be read.
        """
        system, folder = self._place
        try:
            with system.open_input_file(f"{folder}/{name}") as file:
                return file.read()
        except (OSError, pa.ArrowException) as error:
            raise UnseenFileError(f"{UnseenFileError.MARK}: {one_line(error)}") from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file in the place of a former one."""
        system, folder = self._place
        with self.create(name) as (attempt, file):
            file.write(content)
        system.move(f"{folder}/{attempt}", f"{folder}/{name}")

    @contextmanager
    def create(self, name: str) -> Iterator[tuple[str, pa.NativeFile]]:
        """Yield a name that no other attempt at the same file has, and its file, to be written.

        Raises
        ------
        OSError
            The file can't be written.
        """
        system, folder = self._place
        if isinstance(system, pafs.LocalFileSystem):
            system.create_dir(folder, recursive=True)
        attempt = f"{name}.{uuid.uuid4().hex}"
        with system.open_output_stream(f"{folder}/{attempt}", compression=None) as file:
            yield attempt, file

    def put(self, source: Path) -> None:
        """Copy a file of this machine into the folder, under its name, unless it lies there."""
        system, folder = self._place
        if isinstance(system, pafs.LocalFileSystem) and source.parent == Path(folder):
            return
        with (
            source.open("rb") as content,
            system.open_output_stream(f"{folder}/{source.name}", compression=None) as file,
        ):
            while chunk := content.read(_CHUNK):
                file.write(chunk)

    def fetch(self, name: str, target: Path) -> None:
        """Bring a file to this machine; from a disk it is moved.

        Raises
        ------
        OSError
            It can't be read, or the target can't be written.
        """
        system, folder = self._place
        if isinstance(system, pafs.LocalFileSystem):
            shutil.move(f"{folder}/{name}", target)
            return
        with system.open_input_stream(f"{folder}/{name}", compression=None) as file, target.open("wb") as content:
            while chunk := file.read(_CHUNK):
                content.write(chunk)

    def remove(self) -> None:
        """Remove the folder with all that it holds.

        Raises
        ------
        OSError
            It can't be removed.
        """
        system, folder = self._place
        system.delete_dir(folder)
