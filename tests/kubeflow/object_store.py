"""An object store in a folder, and the launcher's way of copying between it and its local folders."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

SCHEMES = {"gs://": "gcs", "s3://": "s3", "minio://": "minio"}


@dataclass(frozen=True)
class ObjectStore:
    """Objects are files below `folder`, by scheme, bucket and key."""

    folder: Path

    def path(self, uri: str) -> Path:
        """Return the file, or the folder of all keys that begin so."""
        scheme, _, rest = uri.partition("://")
        return self.folder / scheme / rest

    def put(self, local: Path, uri: str) -> None:
        """Store a file, or all files of a folder."""
        if local.is_dir():
            shutil.copytree(local, self.path(uri), dirs_exist_ok=True)
        else:
            self.path(uri).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(local, self.path(uri))

    def download(self, uri: str, local: Path) -> None:
        """Copy what lies at a URI; nothing at all, without complaint, if nothing does."""
        stored = self.path(uri)
        if stored.is_dir():
            shutil.copytree(stored, local, dirs_exist_ok=True)
        elif stored.is_file():
            local.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(stored, local)


def launcher_path(uri: str, root: Path) -> Path:
    """Return where the launcher keeps a URI's content."""
    for scheme, folder in SCHEMES.items():
        if uri.startswith(scheme):
            return root / folder / uri.removeprefix(scheme)
    raise ValueError(f"unsupported storage scheme: {uri}")
