"""TensorFlow's in-memory files, `ram://`, which stand in tests for an object store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import tensorflow as tf
from apache_beam.io.filesystem import CompressedFile, CompressionTypes, FileMetadata, FileSystem

_rename = tf.io.gfile.rename


def rename(source: str, target: str, overwrite: bool = False) -> None:
    """Rename as on an object store: TensorFlow's renames an in-memory folder and leaves behind what it holds."""
    if not (str(source).startswith("ram://") and tf.io.gfile.isdir(source)):
        _rename(source, target, overwrite)
        return
    for folder, _, names in list(tf.io.gfile.walk(source)):
        below = f"{target}{folder.removeprefix(source)}"
        tf.io.gfile.makedirs(below)
        for name in names:
            _rename(f"{folder}/{name}", f"{below}/{name}", overwrite)
    tf.io.gfile.rmtree(source)


class RamFileSystem(FileSystem):
    """What Beam asks of a file system; Beam finds the class by its scheme."""

    @classmethod
    def scheme(cls) -> str:
        return "ram"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        tf.io.gfile.makedirs(path)

    def has_dirs(self) -> bool:
        return True

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for folder, _, names in tf.io.gfile.walk(dir_or_prefix):
            yield from (self.metadata(self.join(folder, name)) for name in names)

    def create(
        self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO
    ) -> BinaryIO | CompressedFile:
        return self._wrapped(path, "wb", compression_type)

    def open(
        self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO
    ) -> BinaryIO | CompressedFile:
        return self._wrapped(path, "rb", compression_type)

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            tf.io.gfile.copy(source, destination, overwrite=True)

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            tf.io.gfile.rename(source, destination, overwrite=True)

    def exists(self, path: str) -> bool:
        return tf.io.gfile.exists(path)

    def size(self, path: str) -> int:
        return tf.io.gfile.stat(path).length

    def last_updated(self, path: str) -> float:
        return tf.io.gfile.stat(path).mtime_nsec / 1e9

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            if tf.io.gfile.isdir(path):
                tf.io.gfile.rmtree(path)
            elif tf.io.gfile.exists(path):
                tf.io.gfile.remove(path)

    @staticmethod
    def _wrapped(path: str, mode: str, compression_type: str) -> BinaryIO | CompressedFile:
        file = tf.io.gfile.GFile(path, mode)
        if compression_type == CompressionTypes.AUTO:
            compression_type = CompressionTypes.detect_compression_type(path)
        if compression_type == CompressionTypes.UNCOMPRESSED:
            return file
        return CompressedFile(file, compression_type)
