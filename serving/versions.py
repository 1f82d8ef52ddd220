"""The folder of published models: `<serving>/<version>/`, versions counting up as TensorFlow Serving expects.

A version appears whole or not at all: it is written beside the folder under a name that no reader takes for a version,
and renamed into place. An object store can't rename folders; there the graph file is written last, and readers pass
over folders without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from data.atomic_folder import exclusive
from data.errors import InputError
from serving.model_config import read_labels
from serving.publication import PUBLICATION_FILE, read_publication
from serving.signing import SIGNATURE_FILE, PrivateKey, PublicKey, is_signed, verify, write_signature

GRAPH_FILE = "saved_model.pb"
"""The graph of a SavedModel; a version folder without it is not whole."""

RESTORED_FROM = "restored_from"
"""Key of a publication that a rollback made: the version that it is a copy of."""

_STAGING_PREFIX = ".staging-"

_OBJECT_STORE_MOUNTS = frozenset({"gcs", "s3", "minio"})
"""Folders of the root under which Kubeflow's launcher and Vertex keep object stores."""


def published_versions(serving: Path) -> list[int]:
    """Return the versions that are whole, oldest first; none where the folder is missing.

    A listing is not made in one step: while it waits, all that it names may be superseded and gone, but for the
    version of the last rollback, which stays and is old. So it is made until two agree.
    """
    versions, before = _list_versions(serving), None
    while versions != before:
        versions, before = _list_versions(serving), versions
    return versions


def _list_versions(serving: Path) -> list[int]:
    if not serving.is_dir():
        return []
    return sorted(
        int(entry.name) for entry in serving.iterdir() if entry.name.isdecimal() and (entry / GRAPH_FILE).is_file()
    )


def is_version(folder: Path) -> bool:
    """Return whether a folder is that of a version, and not of many."""
    return (folder / GRAPH_FILE).is_file()


def version_folders(serving_root: Path) -> list[Path]:
    """Return the folders that hold published versions, by name; one with two names by the one that `adopt` gave it.

    Parameters
    ----------
    serving_root
        Holds a folder of versions for each pipeline; it may be missing.
    """
    folders = serving_root.iterdir() if serving_root.is_dir() else []
    # Links come last, and stand for what they name.
    named = {folder.resolve(): folder for folder in sorted(folders, key=lambda folder: (folder.is_symlink(), folder))}
    return sorted(folder for folder in named.values() if published_versions(folder))


def check_version(serving: Path, version: int) -> None:
    """Check that a version is there.

    Raises
    ------
    InputError
        It is not.
    """
    versions = published_versions(serving)
    if version not in versions:
        held = ", ".join(map(str, versions)) or "none"
        raise InputError(f"{serving} holds no version {version}: it holds {held}", code="M03")


def model_digest(model: Path) -> str:
    """Return the SHA-256 over names and contents of a SavedModel's files, but for its publication and signature."""
    files = {file.relative_to(model).as_posix(): file for file in _files(model)}
    return _whole_digest({name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()})


def _whole_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of a model from those of its files, by name, in the order of their paths."""
    whole = hashlib.sha256()
    for name, digest in digests.items():
        if name not in (PUBLICATION_FILE, SIGNATURE_FILE):
            whole.update(name.encode() + b"\0" + bytes.fromhex(digest))
    return whole.hexdigest()


def find_published(serving: Path, digest: str, key: PublicKey | None = None) -> int | None:
    """Return the newest version that holds the model of a digest; with a key, of those that are signed with it."""
    for version in reversed(published_versions(serving)):
        folder = serving / str(version)
        if read_publication(folder).get("model_digest") == digest and (key is None or _is_signed_with(folder, key)):
            return version
    return None


def _is_signed_with(folder: Path, key: PublicKey) -> bool:
    try:
        verify(folder, key)
    except InputError:
        return False
    return True


def publish(
    model: Path,
    serving: Path,
    publication: dict[str, Any],
    keep: int,
    note: Callable[[str], None] = lambda _: None,
    key: PrivateKey | None = None,
) -> int:
    """Publish a model as the next version, and remove the oldest beyond `keep`.

    Whatever `keep` says, these versions stay: the newest, the newest that the pipeline blessed, the one that the last
    rollback made, and those that bear a label.

    Parameters
    ----------
    model
        A SavedModel's folder.
    serving
        The folder of versions; it is made if missing.
    publication
        The publication, as JSON; the model's digest, version and time are added.
    keep
        Versions that stay, at least 1.
    note
        Called with a line if another process is publishing, which is waited for, or if no version is removed because
        it can't be told which of them bear a label.
    key
        Signs the version; None for one without a signature.

    Returns
    -------
    int
        The version under which the model is published.
    """
    with publishing(serving, note):
        return _add_and_clear(model, model_digest(model), serving, publication, keep, note, key)


def publish_once(
    model: Path,
    serving: Path,
    publication: dict[str, Any],
    keep: int,
    note: Callable[[str], None] = lambda _: None,
    key: PrivateKey | None = None,
) -> int:
    """Publish a model unless a version holds it already; of processes that try at once, one publishes.

    A version that is not signed with the key, where one is given, doesn't count: who verifies would refuse it.

    Parameters
    ----------
    model, serving, publication, keep, note, key
        As for `publish`.

    Returns
    -------
    int
        The version under which the model is published, now or before. Nothing changes if it was before.
    """
    digest = model_digest(model)
    with publishing(serving, note):
        # Asked before the lock is held, two processes would both be told that there is none.
        found = find_published(serving, digest, key.public_key() if key else None)
        return found if found is not None else _add_and_clear(model, digest, serving, publication, keep, note, key)


def roll_back(
    serving: Path,
    version: int,
    note: Callable[[str], None] = lambda _: None,
    *,
    key: PrivateKey | None = None,
    public_key: PublicKey | None = None,
) -> int:
    """Publish the model of an earlier version again, as the newest.

    Model servers serve the highest number, so a rollback adds a version: nothing is removed, and the model that is
    rolled back from can be rolled back to in turn.

    Parameters
    ----------
    serving
        The folder of versions.
    version
        One of them.
    note
        As for `publish`.
    key
        Signs the new version.
    public_key
        What the earlier version has to be signed with; if None, the public half of `key`, if that is given.

    Returns
    -------
    int
        The new version.

    Raises
    ------
    InputError
        The version is not there, is the newest anyway, or is not as it was published; with a key, it is not as it was
        signed; without one to sign with, it is signed.
    """
    with publishing(serving, note):
        check_version(serving, version)
        folder = serving / str(version)
        if version == published_versions(serving)[-1]:
            raise InputError(f"version {version} of {serving} is the newest, and served already", code="M07")
        expected = public_key or (key.public_key() if key else None)
        if expected is not None:
            verify(folder, expected)
        if key is None and is_signed(folder):
            raise InputError(
                f"version {version} of {serving} is signed, and would not be as the newest: give --private-key",
                code="M26",
            )
        publication = read_publication(folder)
        digest = model_digest(folder)
        if publication.get("model_digest") != digest:
            raise InputError(
                f"{folder} is not as it was published: it is damaged, and can't be rolled back to", code="M08"
            )
        return _add(folder, digest, serving, {**publication, RESTORED_FROM: version}, key)


def adopt(serving: Path, former: Path, note: Callable[[str], None]) -> None:
    """Continue with the folder that an earlier version of this project published to.

    Its versions stay where they are, so that their readers find them: the present name becomes a link to it.

    Parameters
    ----------
    serving
        The folder of versions as it is named now.
    former
        The folder as it was named, beside it; nothing is done where it holds no version.
    note
        Called with a line about what was done, or what is to be done by hand.
    """
    if not published_versions(former):
        return
    # By the present name: the lock of `publishing` is that of the folder itself.
    with exclusive(serving, note):
        if serving.exists() and serving.samefile(former):
            return
        if in_object_store(serving) or (serving.is_dir() and any(serving.iterdir())):
            note(
                f"note: {former} holds models that an earlier version published; new ones go to {serving}: "
                "point its readers there, then remove it"
            )
            return
        if serving.is_symlink():
            # What it named was removed by hand.
            serving.unlink()
        elif serving.is_dir():
            serving.rmdir()
        serving.symlink_to(former.name, target_is_directory=True)
        note(f"note: going on with the versions in {former}, which is also called {serving.name} now")


@contextlib.contextmanager
def publishing(serving: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the right to change the folder, and remove what killed processes left."""
    # One folder may have two names since `adopt`, but has one lock. A link may have lost what it named.
    folder = serving.resolve()
    with exclusive(folder, note):
        folder.mkdir(exist_ok=True)
        _sweep(folder)
        yield


def _add_and_clear(
    model: Path,
    digest: str,
    serving: Path,
    publication: dict[str, Any],
    keep: int,
    note: Callable[[str], None],
    key: PrivateKey | None,
) -> int:
    version = _add(model, digest, serving, publication, key)
    try:
        labelled = set(read_labels(serving).values())
    except InputError as error:
        note(f"note: no version is removed: {error.line}")
        return version
    for old in _removable(serving, keep, labelled):
        _remove(serving, old)
    if in_object_store(serving):
        _remove_partial(serving, version)
    return version


def _add(model: Path, digest: str, serving: Path, publication: dict[str, Any], key: PrivateKey | None) -> int:
    version = _next_version(serving)
    publication = {
        **publication,
        "model_digest": digest,
        "version": version,
        "published_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    place = serving / str(version)
    if in_object_store(serving):
        _copy_graph_last(model, place, publication, key)
    else:
        _copy_and_rename(model, place, publication, key)
    return version


def in_object_store(serving: Path) -> bool:
    """Return whether a folder lies in a mounted object store, where renaming a folder is not a single step."""
    return serving.is_absolute() and serving.parts[1:2] != () and serving.parts[1] in _OBJECT_STORE_MOUNTS


def _copy_and_rename(model: Path, place: Path, publication: dict[str, Any], key: PrivateKey | None) -> None:
    staging = place.with_name(f"{_STAGING_PREFIX}{uuid.uuid4().hex}")
    try:
        _copy_without(model, staging, SIGNATURE_FILE)
        _write_publication(staging, publication)
        if key is not None:
            _sign(staging, key, place.name, publication, {})
        _flush(staging)
        staging.rename(place)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _copy_graph_last(model: Path, place: Path, publication: dict[str, Any], key: PrivateKey | None) -> None:
    _copy_without(model, place, SIGNATURE_FILE, GRAPH_FILE)
    _write_publication(place, publication)
    partial = place / f".{GRAPH_FILE}.partial"
    shutil.copyfile(model / GRAPH_FILE, partial)
    if key is not None:
        # The version counts from the moment that it has a graph: by then it has to be signed.
        _sign(place, key, place.name, publication, {partial.name: GRAPH_FILE})
    # A single file can be renamed in one step there too.
    partial.rename(place / GRAPH_FILE)


def _copy_without(model: Path, target: Path, *left_out: str) -> None:
    """Copy a model's folder but for some files at its top."""
    shutil.copytree(model, target, ignore=lambda folder, _: left_out if Path(folder) == model else ())


def _sign(folder: Path, key: PrivateKey, name: str, publication: dict[str, Any], renamed: Mapping[str, str]) -> None:
    """Sign the copy of a model, if it is the model that was looked at before it was copied.

    Raises
    ------
    InputError
        It is another one.
    """
    if _whole_digest(write_signature(folder, key, name, renamed)) != publication["model_digest"]:
        raise InputError(f"the files of version {name} changed while they were copied: run again", code="M29")


def _write_publication(folder: Path, publication: dict[str, Any]) -> None:
    (folder / PUBLICATION_FILE).parent.mkdir(exist_ok=True)
    (folder / PUBLICATION_FILE).write_text(json.dumps(publication, indent=2, allow_nan=False), encoding="utf-8")


def _flush(folder: Path) -> None:
    """Flush files to the disk before their folder gets its name: a power cut must not leave empty ones."""
    for file in _files(folder):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _next_version(serving: Path) -> int:
    taken = [int(entry.name) for entry in serving.iterdir() if entry.name.isdecimal()]
    return max(taken, default=0) + 1


def _removable(serving: Path, keep: int, labelled: set[int]) -> list[int]:
    versions = published_versions(serving)
    restored = [version for version in versions if RESTORED_FROM in read_publication(serving / str(version))]
    blessed = [version for version in versions if version not in restored]
    kept = {*versions[-keep:], *restored[-1:], *blessed[-1:], *labelled}
    return [version for version in versions if version not in kept]


def _remove(serving: Path, version: int) -> None:
    """Remove a version in one step, so that no reader sees half a model."""
    folder = serving / str(version)
    if in_object_store(serving):
        (folder / GRAPH_FILE).unlink()
    else:
        folder = folder.rename(serving / f"{_STAGING_PREFIX}{uuid.uuid4().hex}")
    shutil.rmtree(folder, ignore_errors=True)


def _remove_partial(serving: Path, below: int) -> None:
    """Remove what killed runs left in an object store; only once a higher version exists, since versions count up."""
    for entry in serving.iterdir():
        if entry.name.isdecimal() and int(entry.name) < below and not (entry / GRAPH_FILE).is_file():
            shutil.rmtree(entry, ignore_errors=True)


def _sweep(serving: Path) -> None:
    """Remove what killed runs left, and staged files that could not be removed before."""
    for entry in serving.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(entry, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
