"""Labels of published versions: `stable`, `canary` or others, kept in TensorFlow Serving's `models.config`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data.errors import InputError
from serving.model_config import read_labels, write_labels
from serving.versions import check_version, publishing

STABLE = "stable"
"""The version that people are answered by."""

CANARY = "canary"
"""The version that is tried beside it."""

LABELS = (STABLE, CANARY)
"""Those that are set; a file written by hand may hold others."""


def labels_of(folder: Path) -> dict[str, int]:
    """Return the versions of a pipeline by label; none where no label was set.

    Parameters
    ----------
    folder
        The pipeline's folder of versions.

    Raises
    ------
    InputError
        `models.config` can't be read, or is not of its form.
    """
    return read_labels(folder)


def version_for(folder: Path, label: str) -> int:
    """Return the version of a pipeline that bears a label.

    Parameters
    ----------
    folder
        The pipeline's folder of versions.
    label
        `stable`, `canary` or another one.

    Raises
    ------
    InputError
        No version bears it, or the one that does was removed by hand.
    """
    labels = read_labels(folder)
    if label not in labels:
        held = ", ".join(f"{name!r} ({version})" for name, version in labels.items()) or "none"
        raise InputError(f"{folder} has no version with the label {label!r}: it has {held}", code="M27")
    check_version(folder, labels[label])
    return labels[label]


def promote(
    serving: Path,
    version: int,
    label: str,
    *,
    base_path: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> int | None:
    """Set a label on a version; the version that bore it loses it.

    Parameters
    ----------
    serving
        The pipeline's folder of versions.
    version
        One of them.
    label
        The label.
    base_path
        The folder as TensorFlow Serving sees it; None for what `models.config` says, or else the folder's own path.
    note
        Called with a line if another process is publishing, which is waited for.

    Returns
    -------
    int or None
        The version that bore the label before.

    Raises
    ------
    InputError
        The version is not there, or `models.config` can't be read.
    """
    with publishing(serving, note):
        check_version(serving, version)
        labels = read_labels(serving)
        write_labels(serving, {**labels, label: version}, base_path)
        return labels.get(label)


def demote(serving: Path, label: str, note: Callable[[str], None] = lambda _: None) -> int:
    """Take a label away.

    Parameters
    ----------
    serving, note
        As for `promote`.
    label
        The label.

    Returns
    -------
    int
        The version that bore it.

    Raises
    ------
    InputError
        No version bears it, or `models.config` can't be read.
    """
    with publishing(serving, note):
        labels = read_labels(serving)
        if label not in labels:
            raise InputError(f"no version of {serving} bears the label {label!r}", code="M27")
        write_labels(serving, {name: version for name, version in labels.items() if name != label})
        return labels[label]


def labelled(version_folder: Path, label: str) -> Path:
    """Return the folder of the version that bears a label, beside another version of the same pipeline.

    Raises
    ------
    InputError
        As for `version_for`.
    """
    serving = version_folder.parent
    return serving / str(version_for(serving, label))


def version_to_serve(folder: Path, label: str | None) -> int | None:
    """Return the version of a pipeline that a server answers with.

    Parameters
    ----------
    folder
        The pipeline's folder of versions.
    label
        The label that is asked for; None for `stable`, where a version bears it.

    Returns
    -------
    int or None
        The version; None for the newest.

    Raises
    ------
    InputError
        As for `version_for`.
    """
    if label is None and STABLE not in labels_of(folder):
        return None
    return version_for(folder, label or STABLE)
