"""Parquet files, opened so that nothing in them is run. They are opened here alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

# Arrow before 14.0.1 unpickles what a column's type says of itself, which may be any program (CVE-2023-47248). Imported
# this closes it, and does nothing in later versions.
import pyarrow_hotfix  # noqa: F401


def open_parquet(source: Path | BinaryIO | pa.NativeFile, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file.

    Parameters
    ----------
    source
        The file.
    options
        As for `pyarrow.parquet.ParquetFile`.

    Raises
    ------
    pa.ArrowInvalid
        It is no Parquet file, or a column's type is a program of somebody's.
    OSError
        It can't be read.
    """
    try:
        return pq.ParquetFile(source, **options)
    except RuntimeError as error:
        raise pa.ArrowInvalid("a column's type is a program, which is not run: write plain values") from error
