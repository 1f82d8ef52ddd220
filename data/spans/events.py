"""The events of a span, as they arrived: in memory with the span's number, on disk as Parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.releases.catalogue import Catalogue
from data.timelines.timelines import RATING_DTYPE

EVENT_DTYPE = np.dtype([*RATING_DTYPE.descr, ("span", "<i4")])
"""A rating, and the span with which it arrived; of a file that is not cut yet, the stretch of time."""


def write_events(path: Path, parts: Iterable[NDArray[np.void]], catalogue: Catalogue) -> None:
    """Write events to a new file, part by part.

    Parameters
    ----------
    path
        The file.
    parts
        `EVENT_DTYPE[n]` each; movies are codes of the catalogue.
    catalogue
        Knows the movies' ids.

    Raises
    ------
    OSError
        The file can't be written.
    """
    movie_type = pa.string() if catalogue.has_texts else pa.int64()
    schema = pa.schema(
        {"user_id": pa.uint64(), "movie_id": movie_type, "rating": pa.float32(), "timestamp": pa.int64()}
    )
    with pq.ParquetWriter(path, schema) as writer:
        for events in parts:
            if len(events):
                ids = catalogue.ids[events["movie"] - 1]
                columns = [
                    pa.array(events["user"]),
                    pa.array(ids.tolist() if catalogue.has_texts else ids, movie_type),
                    pa.array(events["stars"]),
                    pa.array(events["time"]),
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def as_events(batch: pa.RecordBatch, catalogue: Catalogue, span: int) -> NDArray[np.void]:
    """Return events that `write_events` wrote as arrays.

    Parameters
    ----------
    batch
        `n` events.
    catalogue
        Holds all their movies.
    span
        The span that they are of.

    Returns
    -------
    NDArray[np.void]
        `EVENT_DTYPE[n]`.
    """
    events = np.empty(batch.num_rows, dtype=EVENT_DTYPE)
    ids = batch.column("movie_id")
    if catalogue.has_texts:
        ids = np.array([movie.encode() for movie in ids.to_pylist()], dtype=np.bytes_)
    events["user"] = batch.column("user_id")
    events["movie"] = catalogue.codes_of(np.asarray(ids))
    events["stars"] = batch.column("rating")
    events["time"] = batch.column("timestamp")
    events["span"] = span
    return events


def of_users(batch: pa.RecordBatch, users: NDArray[np.uint64]) -> pa.RecordBatch:
    """Return the events of some users alone, given in ascending order."""
    return batch.filter(pa.array(np.isin(batch.column("user_id").to_numpy(), users)))


def without_user(table: pa.Table, user: int) -> pa.Table:
    """Return the events of all users but one."""
    return table.filter(pc.not_equal(table["user_id"], pa.scalar(user, pa.uint64())))
