"""Which published model to ask when none is named."""

from __future__ import annotations

from pathlib import Path

from components.publishing import GRAPH_FILE, published_versions
from data.errors import InputError


def newest_model(serving_root: Path) -> Path:
    """Return the version folder that was published last, of whatever pipeline.

    Parameters
    ----------
    serving_root
        Holds a folder of versions for each pipeline.

    Raises
    ------
    InputError
        Nothing is published there.
    """
    newest: Path | None = None
    for pipeline in sorted(serving_root.iterdir()) if serving_root.is_dir() else []:
        for version in published_versions(pipeline)[-1:]:
            folder = pipeline / str(version)
            if newest is None or _published_at(folder) > _published_at(newest):
                newest = folder
    if newest is None:
        raise InputError(f"no model is published in {serving_root}: run local_runner.py first, or name one (--model)")
    return newest


def resolve_model(folder: Path) -> Path:
    """Return a version folder for a path that may also be a folder of versions, whose newest is meant.

    Parameters
    ----------
    folder
        A version's folder, or that of a pipeline's versions.
    """
    versions = published_versions(folder)
    return folder / str(versions[-1]) if versions and not (folder / GRAPH_FILE).is_file() else folder


def _published_at(folder: Path) -> float:
    """Return when a version came to be, in seconds: a version is renamed into place whole, after its graph."""
    return folder.stat().st_ctime
