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
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from data.atomic_folder import exclusive
from data.errors import InputError

GRAPH_FILE = "saved_model.pb"
"""The graph of a SavedModel; a version folder without it is not whole."""

PUBLICATION_FILE = "assets.extra/publication.json"
"""File of a published model's publication: what it is and where it comes from, as JSON."""

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


def model_digest(model: Path) -> str:
    """Return the SHA-256 over names and contents of a SavedModel's files, but for its publication file."""
    digest = hashlib.sha256()
    for file in _files(model):
        name = file.relative_to(model).as_posix()
        if name == PUBLICATION_FILE:
            continue
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def read_publication(version_folder: Path) -> dict[str, Any]:
    """Return the publication of a published model; empty if there is none that can be read."""
    try:
        publication = json.loads((version_folder / PUBLICATION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # One damaged or foreign version must not keep others from being published, or listed.
        return {}
    return publication if isinstance(publication, dict) else {}


def find_published(serving: Path, digest: str) -> int | None:
    """Return the newest version that holds the model of the given digest."""
    for version in reversed(published_versions(serving)):
        if read_publication(serving / str(version)).get("model_digest") == digest:
            return version
    return None


def publish(
    model: Path, serving: Path, publication: dict[str, Any], keep: int, note: Callable[[str], None] = lambda _: None
) -> int:
    """Publish a model as the next version, and remove the oldest beyond `keep`.

    Whatever `keep` says, three versions stay: the newest, the newest that the pipeline blessed, and the one that the
    last rollback made.

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
        Called with a line if another process is publishing, which is waited for.

    Returns
    -------
    int
        The version under which the model is published.
    """
    with _publishing(serving, note):
        return _add_and_clear(model, model_digest(model), serving, publication, keep)


def publish_once(
    model: Path, serving: Path, publication: dict[str, Any], keep: int, note: Callable[[str], None] = lambda _: None
) -> int:
    """Publish a model unless a version holds it already; of processes that try at once, one publishes.

    Parameters
    ----------
    model, serving, publication, keep, note
        As for `publish`.

    Returns
    -------
    int
        The version under which the model is published, now or before. Nothing changes if it was before.
    """
    digest = model_digest(model)
    with _publishing(serving, note):
        # Asked before the lock is held, two processes would both be told that there is none.
        found = find_published(serving, digest)
        return _add_and_clear(model, digest, serving, publication, keep) if found is None else found


def roll_back(serving: Path, version: int, note: Callable[[str], None] = lambda _: None) -> int:
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

    Returns
    -------
    int
        The new version.

    Raises
    ------
    InputError
        The version is not there, is the newest anyway, or is not as it was published.
    """
    with _publishing(serving, note):
        versions = published_versions(serving)
        folder = serving / str(version)
        if version not in versions:
            held = ", ".join(map(str, versions)) or "none"
            raise InputError(f"{serving} holds no version {version}: it holds {held}", code="M03")
        if version == versions[-1]:
            raise InputError(f"version {version} of {serving} is the newest, and served already", code="M07")
        publication = read_publication(folder)
        digest = model_digest(folder)
        if publication.get("model_digest") != digest:
            raise InputError(
                f"{folder} is not as it was published: it is damaged, and can't be rolled back to", code="M08"
            )
        return _add(folder, digest, serving, {**publication, RESTORED_FROM: version})


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
    # By the present name: the lock of `_publishing` is that of the folder itself.
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
def _publishing(serving: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the right to change the folder, and remove what killed processes left."""
    # One folder may have two names since `adopt`, but has one lock. A link may have lost what it named.
    folder = serving.resolve()
    with exclusive(folder, note):
        folder.mkdir(exist_ok=True)
        _sweep(folder)
        yield


def _add_and_clear(model: Path, digest: str, serving: Path, publication: dict[str, Any], keep: int) -> int:
    version = _add(model, digest, serving, publication)
    for old in _removable(serving, keep):
        _remove(serving, old)
    if in_object_store(serving):
        _remove_partial(serving, version)
    return version


def _add(model: Path, digest: str, serving: Path, publication: dict[str, Any]) -> int:
    version = _next_version(serving)
    publication = {
        **publication,
        "model_digest": digest,
        "version": version,
        "published_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    place = serving / str(version)
    if in_object_store(serving):
        _copy_graph_last(model, place, publication)
    else:
        _copy_and_rename(model, place, publication)
    return version


def in_object_store(serving: Path) -> bool:
    """Return whether a folder lies in a mounted object store, where renaming a folder is not a single step."""
    return serving.is_absolute() and serving.parts[1:2] != () and serving.parts[1] in _OBJECT_STORE_MOUNTS


def _copy_and_rename(model: Path, place: Path, publication: dict[str, Any]) -> None:
    staging = place.with_name(f"{_STAGING_PREFIX}{uuid.uuid4().hex}")
    try:
        shutil.copytree(model, staging)
        _write_publication(staging, publication)
        _flush(staging)
        staging.rename(place)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _copy_graph_last(model: Path, place: Path, publication: dict[str, Any]) -> None:
    shutil.copytree(model, place, ignore=lambda folder, _: [GRAPH_FILE] if Path(folder) == model else [])
    _write_publication(place, publication)
    partial = place / f".{GRAPH_FILE}.partial"
    shutil.copyfile(model / GRAPH_FILE, partial)
    # A single file can be renamed in one step there too.
    partial.rename(place / GRAPH_FILE)


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


def _removable(serving: Path, keep: int) -> list[int]:
    versions = published_versions(serving)
    restored = [version for version in versions if RESTORED_FROM in read_publication(serving / str(version))]
    blessed = [version for version in versions if version not in restored]
    kept = {*versions[-keep:], *restored[-1:], *blessed[-1:]}
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
