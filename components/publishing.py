"""The folder of published models: `<serving>/<version>/`, versions counting up as TensorFlow Serving expects.

A version appears whole or not at all: it is written beside the folder under a name that no reader takes for a version,
and renamed into place.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

GRAPH_FILE = "saved_model.pb"
"""TensorFlow's own mark of a model; a version folder without it is none yet."""

PUBLICATION_FILE = "assets.extra/publication.json"
"""Where a published model says what it is."""

_STAGING_PREFIX = ".staging-"


def published_versions(serving: Path) -> list[int]:
    """Return the versions that are whole, oldest first; none where the folder is missing."""
    if not serving.is_dir():
        return []
    return sorted(
        int(entry.name) for entry in serving.iterdir() if entry.name.isdecimal() and (entry / GRAPH_FILE).is_file()
    )


def model_digest(model: Path) -> str:
    """Return the SHA-256 over names and contents of a SavedModel's files, but for its publication file."""
    digest = hashlib.sha256()
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        name = file.relative_to(model).as_posix()
        if name == PUBLICATION_FILE:
            continue
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def read_publication(version_folder: Path) -> dict[str, Any]:
    """Return what a published model says about itself; empty if it says nothing."""
    file = version_folder / PUBLICATION_FILE
    return json.loads(file.read_text()) if file.is_file() else {}


def find_published(serving: Path, digest: str) -> int | None:
    """Return the newest version that holds the model of the given digest."""
    for version in reversed(published_versions(serving)):
        if read_publication(serving / str(version)).get("model_digest") == digest:
            return version
    return None


def publish(model: Path, serving: Path, publication: dict[str, Any], keep: int) -> int:
    """Publish a model as the next version, and remove the oldest beyond `keep`.

    Parameters
    ----------
    model
        A SavedModel's folder.
    serving
        The folder of versions; it is made if missing.
    publication
        What the model says of itself, as JSON; its digest and version are added.
    keep
        Versions that stay, at least 1.

    Returns
    -------
    int
        The version under which the model is published.
    """
    serving.mkdir(parents=True, exist_ok=True)
    _sweep(serving)
    staging = serving / f"{_STAGING_PREFIX}{uuid.uuid4().hex}"
    try:
        shutil.copytree(model, staging)
        version = _next_version(serving)
        said = {**publication, "model_digest": model_digest(model), "version": version}
        (staging / PUBLICATION_FILE).parent.mkdir(exist_ok=True)
        (staging / PUBLICATION_FILE).write_text(json.dumps(said, indent=2))
        staging.rename(serving / str(version))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for old in published_versions(serving)[:-keep]:
        _remove(serving, old)
    return version


def _next_version(serving: Path) -> int:
    taken = [int(entry.name) for entry in serving.iterdir() if entry.name.isdecimal()]
    return max(taken, default=0) + 1


def _remove(serving: Path, version: int) -> None:
    """Take a version away in one step; half a model is never to be seen."""
    trash = serving / f"{_STAGING_PREFIX}{uuid.uuid4().hex}"
    (serving / str(version)).rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def _sweep(serving: Path) -> None:
    """Remove what killed runs left."""
    for entry in serving.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(entry, ignore_errors=True)
