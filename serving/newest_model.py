"""The published model that is used when none is named."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from data.errors import InputError
from serving.versions import GRAPH_FILE, published_versions, read_publication, version_folders

_UNDATED = datetime.min.replace(tzinfo=timezone.utc)
"""Older than any publication."""


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


def resolve_model(folder: Path) -> Path:
    """Return a version folder for a path that may also be a folder of versions, whose newest is meant.

    Parameters
    ----------
    folder
        A version's folder, or that of a pipeline's versions.
    """
    versions = published_versions(folder)
    return folder / str(versions[-1]) if versions and not (folder / GRAPH_FILE).is_file() else folder


def _published_at(folder: Path) -> datetime:
    """Return when a version was published; a date without a time zone is not this project's, and counts as none."""
    try:
        date = datetime.fromisoformat(read_publication(folder)["published_at"])
    except (KeyError, TypeError, ValueError):
        return _UNDATED
    return date if date.tzinfo is not None else _UNDATED
