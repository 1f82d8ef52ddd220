"""Artifacts that have to lie on a local disk, and the error where one does not."""

from __future__ import annotations

from pathlib import Path

from data.errors import InputError


def local_path(uri: str) -> Path:
    """Return an artifact's URI as a path.

    On Kubeflow the entrypoint has put the launcher's local copies in the place of remote URIs before.

    Raises
    ------
    InputError
        The URI is remote. `pathlib` would take it for a local path: what is written there would be lost.
    """
    if "://" in uri:
        raise InputError(f"{uri} is not on a local disk, which this step needs: name a local pipeline root", code="R08")
    return Path(uri)
