"""Files of artifacts, read through TensorFlow's file layer, since their root may be an object store.

pathlib doesn't know object stores: `Path("gs://bucket/x")` is the local path `gs:/bucket/x`.
"""

from __future__ import annotations

import tensorflow as tf

from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.shards import TIMELINES
from data.releases.catalogue import Catalogue


def read_manifest(root: str) -> Manifest:
    """Read the manifest that lies in the root of an Examples artifact.

    Raises
    ------
    InputError
        The file can't be read, or is no manifest.
    """
    path = f"{root}/{MANIFEST_FILE}"
    return Manifest.parse(_read(path), path)


def read_catalogue(path: str) -> Catalogue:
    """Read a catalogue's file.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    return Catalogue.parse(_read(path), path)


def example_files(root: str, split: str) -> list[str]:
    """Return the files of a split of an Examples artifact, in the order of their names.

    They are listed: a pattern would take `[` in the path for its own.

    Raises
    ------
    InputError
        There are none, or the folder can't be read.
    """
    return _listed(f"{root}/Split-{split}")


def timeline_files(root: str) -> list[str]:
    """Return the files of the train timelines of an Examples artifact, in the order of their names.

    Raises
    ------
    InputError
        There are none, or the folder can't be read.
    """
    return _listed(f"{root}/{TIMELINES}")


def _listed(folder: str) -> list[str]:
    try:
        names = sorted(tf.io.gfile.listdir(folder))
    except tf.errors.OpError as error:
        raise InputError(f"{folder} can't be read: run again with --no-cache ({_reason(error)})", code="R05") from error
    if not names:
        raise InputError(f"{folder} holds no examples: run again with --no-cache, which makes them anew", code="R05")
    return [f"{folder}/{name}" for name in names]


def exists(path: str) -> bool:
    """Return whether there is a file.

    Raises
    ------
    InputError
        The file system can't be read.
    """
    try:
        return tf.io.gfile.exists(path)
    except tf.errors.OpError as error:
        raise InputError(f"{path} can't be read ({_reason(error)})", code="M09") from error


def _read(path: str) -> bytes:
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.OpError as error:
        raise InputError(
            f"{path} can't be read: make it anew, or give access to it ({_reason(error)})", code="M15"
        ) from error


def _reason(error: tf.errors.OpError) -> str:
    return " ".join(error.message.split())
