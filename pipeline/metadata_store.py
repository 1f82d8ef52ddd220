"""Opening ML Metadata's SQLite file."""

from __future__ import annotations

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2


def open_store(metadata_file: str, *, read_only: bool = False) -> mlmd.MetadataStore:
    """Open the SQLite file of ML Metadata.

    Parameters
    ----------
    metadata_file
        It is made if it is missing, unless it is only to be read.
    read_only
        Write nothing.
    """
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = metadata_file
    if read_only:
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    return mlmd.MetadataStore(config)
