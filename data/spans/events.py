"""The events of a span, as they arrived: in memory with the span's number, on disk as Parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.movie_ids import id_array
from data.releases.catalogue import Catalogue
from data.timelines.timelines import RATING_DTYPE

EVENT_DTYPE = np.dtype([*RATING_DTYPE.descr, ("span", "<i4")])
"""A rating, and the span with which it arrived; of a file that is not cut yet, the stretch of time."""


_COLUMNS = {"user": "user_id", "movie": "movie_id", "stars": "rating", "time": "timestamp"}
"""Names of the columns by those of the fields; the other fields' are the same."""


def write_rows(path: Path, parts: Iterable[NDArray[np.void]], dtype: np.dtype, catalogue: Catalogue) -> None:
    """Write events or parts of timelines to a new file, each part as a row group.

    Parameters
    ----------
    path
        The file.
    parts
        `dtype[n]` each; movies are codes of the catalogue.
    dtype
        `RATING_DTYPE` or a type with more fields, which are written too.
    catalogue
        Knows the movies' ids.

    Raises
    ------
    OSError
        The file can't be written.
    """
    names = dtype.names or ()
    movie_type = pa.string() if catalogue.has_texts else pa.int64()
    types = [movie_type if name == "movie" else pa.from_numpy_dtype(dtype[name]) for name in names]
    schema = pa.schema([(_COLUMNS.get(name, name), kind) for name, kind in zip(names, types, strict=True)])
    with pq.ParquetWriter(path, schema) as writer:
        for rows in parts:
            if len(rows):
                ids = catalogue.ids[rows["movie"] - 1]
                values = [
                    (ids.tolist() if catalogue.has_texts else ids) if name == "movie" else rows[name] for name in names
                ]
                columns = [pa.array(value, kind) for value, kind in zip(values, types, strict=True)]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=len(rows))


def read_rows(table: pa.Table, dtype: np.dtype, catalogue: Catalogue) -> NDArray[np.void]:
    """Return rows that `write_rows` wrote.

    Parameters
    ----------
    table
        `n` rows.
    dtype
        The type that they were written with.
    catalogue
        Holds all their movies.

    Returns
    -------
    NDArray[np.void]
        `dtype[n]`.
    """
    rows = np.empty(table.num_rows, dtype=dtype)
    for name in dtype.names or ():
        if name != "movie":
            rows[name] = table[_COLUMNS.get(name, name)].to_numpy()
    rows["movie"] = catalogue.codes_of(id_array(table["movie_id"].to_pylist(), text=catalogue.has_texts))
    return rows


def of_users(table: pa.Table, users: NDArray[np.uint64]) -> pa.Table:
    """Return the rows of some users alone."""
    return table.filter(pa.array(np.isin(table["user_id"].to_numpy(), users)))


def without_user(table: pa.Table, user: int) -> pa.Table:
    """Return the rows of all users but one."""
    return table.filter(pc.not_equal(table["user_id"], pa.scalar(user, pa.uint64())))
