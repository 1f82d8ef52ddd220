"""Translation between the URIs of an object store and the local folders of Kubeflow's launcher."""

from __future__ import annotations

import re

from data.errors import InputError

_FOLDERS = {"gs://": "gcs/", "s3://": "s3/", "minio://": "minio/"}
_ROOT = re.compile(r"(gs|s3|minio)://[^/?\s]+(/[^?\s]*)?")


def check_uri(uri: str, what: str) -> str:
    """Return a URI without trailing slash.

    Raises
    ------
    InputError
        The launcher knows no such URI.
    """
    if not _ROOT.fullmatch(uri):
        raise InputError(
            f"{what} {uri!r} is not a URI under gs://, s3:// or minio://, such as minio://mlpipeline/v2", code="K24"
        )
    return uri.rstrip("/")


def check_default_credentials(data_root: str, pipeline_root: str) -> None:
    """Check that data lie where the credentials that an unchanged installation has for its own store reach.

    Parameters
    ----------
    data_root, pipeline_root
        Checked URIs. Only a root under `minio://` goes by those credentials.

    Raises
    ------
    InputError
        The data lie in another bucket: the launcher would fail to download them.
    """
    if not opens_with_default_credentials(data_root, pipeline_root):
        raise InputError(
            f"the data root {data_root} is not in {_bucket(pipeline_root)}, the bucket of the pipeline root, and the "
            "backend's default credentials open no other: copy the data there, or give the cluster credentials for "
            "their bucket and set kubeflow.own_credentials",
            code="K40",
        )


def opens_with_default_credentials(data_root: str, pipeline_root: str) -> bool:
    """Return whether data lie where the credentials reach that `check_default_credentials` is about."""
    bucket = _bucket(pipeline_root)
    return not bucket.startswith("minio://") or _bucket(data_root) == bucket


def _bucket(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def to_local(uri: str, launcher_root: str = "/") -> str:
    """Return the launcher's local path of a URI; anything else is returned unchanged.

    Examples
    --------
    >>> to_local("minio://mlpipeline/v2/model")
    '/minio/mlpipeline/v2/model'
    """
    for scheme, folder in _FOLDERS.items():
        if uri.startswith(scheme):
            return f"{launcher_root.rstrip('/')}/{folder}{uri[len(scheme) :]}"
    return uri


def to_remote(path: str, launcher_root: str = "/") -> str:
    """Return the URI of a path in one of the launcher's folders; anything else is returned unchanged.

    Examples
    --------
    >>> to_remote("/minio/mlpipeline/v2/model")
    'minio://mlpipeline/v2/model'
    """
    for scheme, folder in _FOLDERS.items():
        prefix = f"{launcher_root.rstrip('/')}/{folder}"
        if path.startswith(prefix):
            return scheme + path[len(prefix) :]
    return path
