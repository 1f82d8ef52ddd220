"""The published model that is used when none is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from data.errors import InputError
from data.releases.catalogue import CATALOGUE_FILE
from serving.publication import read_publication
from serving.versions import GRAPH_FILE, is_version, published_versions, version_folders

_UNDATED = datetime.min.replace(tzinfo=timezone.utc)
"""Older than any publication."""


CATALOGUE_ASSET = f"assets.extra/{CATALOGUE_FILE}"
"""Where the catalogue lies in a version's folder."""


def newest_model(serving_root: Path) -> Path:
    """Return the version folder that was published last, of any pipeline.

    Of a pipeline's versions that is the highest, which is served. Between pipelines the dates of the publications
    decide, which copying a folder does not change. A model without a readable date is older than any that is dated.
    Of equal dates, which are whole seconds, and of no dates the later modification of the graph file decides, and then
    the name of the pipeline.

    Parameters
    ----------
    serving_root
        Holds a folder of versions for each pipeline.

    Raises
    ------
    InputError
        Nothing is published there.
    """
    served = [
        pipeline / str(version)
        for pipeline in version_folders(serving_root)
        for version in published_versions(pipeline)[-1:]
    ]
    if not served:
        raise InputError(
            f"no model is published in {serving_root}: run local_runner.py first, or name one (--model)", code="M01"
        )
    return max(served, key=lambda folder: (_published_at(folder), (folder / GRAPH_FILE).stat().st_mtime_ns, folder))


def resolve_model(folder: Path, pipeline: str | None = None) -> Path:
    """Return a version folder for a path that may also stand for many, whose newest is meant.

    Parameters
    ----------
    folder
        A version's folder, that of a pipeline's versions, or one of such folders.
    pipeline
        The only pipeline that is meant, also beside the folder; None for any.

    Raises
    ------
    InputError
        There is no such pipeline.
    """
    is_one = is_version(folder)
    own = folder.parent if is_one else folder
    if pipeline is not None and own.name != pipeline:
        # Beside a pipeline's own folder lie those of the others.
        root = own.parent if is_one or published_versions(own) else own
        folders = {found.name: found for found in version_folders(root)}
        if pipeline not in folders:
            held = ", ".join(folders) or "none"
            raise InputError(f"{root} holds no pipeline {pipeline!r}: it holds {held}", code="M02")
        folder = folders[pipeline]
    elif is_one:
        return folder
    versions = published_versions(folder)
    if versions:
        return folder / str(versions[-1])
    return newest_model(folder) if version_folders(folder) else folder


def check_model(folder: str, exists: Callable[[str], bool]) -> None:
    """Check that a folder holds a model of this project's.

    Parameters
    ----------
    folder
        A version's folder.
    exists
        Returns whether there is a file: of the layer that the folder's path is for.

    Raises
    ------
    InputError
        It holds none.
    """
    if not exists(f"{folder}/{GRAPH_FILE}"):
        raise InputError(
            f"{folder} holds no published model: name a version's folder, or run the pipeline first", code="M04"
        )
    if not exists(f"{folder}/{CATALOGUE_ASSET}"):
        raise InputError(
            f"{folder} holds a model without {CATALOGUE_FILE}: it is not one of this pipeline's", code="M05"
        )


def _published_at(folder: Path) -> datetime:
    """Return when a version was published; a date without a time zone is not this project's, and counts as none."""
    try:
        date = datetime.fromisoformat(read_publication(folder)["published_at"])
    except (KeyError, TypeError, ValueError):
        return _UNDATED
    return date if date.tzinfo is not None else _UNDATED
