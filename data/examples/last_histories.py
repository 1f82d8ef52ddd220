"""Users' last histories: a Parquet file beside the shards, for answers to every user.

Examples hold no users. The file has a row for each user of the examples, `id` and `history`, which is the form of the
files of histories that a model is asked with, so that no other program has to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from data.examples.shards import file_sha256
from data.movie_ids import plain_id
from data.parquet import open_parquet
from data.releases.catalogue import Catalogue
from data.timelines.timelines import Timelines
from data.timelines.user_blocks import UserBlock, read_timelines

LAST_HISTORIES_FILE = "last_histories.parquet"

_ROWS = 16_384
"""Users read at once."""


class LastHistories(BaseModel):
    """What a manifest says of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    length: int
    """Movies of a history at most: the last ones."""
    users: int
    """Rows."""
    sha256: str
    """The digest of the file's content."""


def write_last_histories(
    folder: Path,
    blocks: Sequence[UserBlock],
    catalogue: Catalogue,
    length: int,
    users_of: Callable[[NDArray[np.uint64]], pa.Array],
) -> LastHistories:
    """Write the last movies of every user, block by block, users ascending within one.

    Parameters
    ----------
    folder
        Takes the file.
    blocks
        The timelines; at least one block.
    catalogue
        Of their movies.
    length
        Movies of a history at most, at least 1.
    users_of
        Returns the users' ids, of one type in all calls, for the numbers that their timelines have: see
        `data.reader.Reader.users_of`.

    Raises
    ------
    OSError
        The file can't be written.
    """
    ids = pa.array([plain_id(movie_id) for movie_id in catalogue.ids.tolist()])
    path = folder / LAST_HISTORIES_FILE
    users = 0
    writer: pq.ParquetWriter | None = None
    try:
        for block in blocks:
            table = _last_histories(read_timelines(block), ids, length, users_of)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            users += len(table)
    finally:
        if writer is not None:
            writer.close()
    return LastHistories(length=length, users=users, sha256=file_sha256(path))


def _last_histories(
    timelines: Timelines, ids: pa.Array, length: int, users_of: Callable[[NDArray[np.uint64]], pa.Array]
) -> pa.Table:
    """Return the ends of timelines as the file has them; `ids` are the catalogue's, by row."""
    lengths = timelines.positions[timelines.is_last] + 1
    from_end = np.repeat(lengths, lengths) - timelines.positions
    kept = timelines.ratings["movie"][from_end <= length]
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths, length))])
    histories = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), ids.take(pa.array(kept - 1)))
    return pa.table({"id": users_of(timelines.ratings["user"][timelines.is_last]), "history": histories})


def merge_last_histories(newest_first: Sequence[Path], target: Path) -> int:
    """Write the last history of every user of several files; of a user in more than one, that of the first counts.

    Parameters
    ----------
    newest_first
        Files of one data set.
    target
        The file to write.

    Returns
    -------
    int
        Users in it.

    Raises
    ------
    OSError
        A file can't be read or written.
    pa.ArrowException
        A file is damaged, or they are of different forms.
    """
    seen: set[Any] = set()
    kind = _common_kind(newest_first)
    writer: pq.ParquetWriter | None = None
    try:
        for table in _pieces(newest_first):
            table = table.set_column(0, "id", table["id"].cast(kind))
            is_new = []
            for user in table["id"].to_pylist():
                is_new.append(user not in seen)
                seen.add(user)
            writer = writer or pq.ParquetWriter(target, table.schema)
            writer.write_table(table.filter(pa.array(is_new, pa.bool_())))
    finally:
        if writer is not None:
            writer.close()
    return len(seen)


def _common_kind(files: Sequence[Path]) -> pa.DataType:
    """Return the type of all files' users: of own data they are integers in a file of such users alone, else texts."""
    kinds = []
    for path in files:
        with open_parquet(path) as file:
            kinds.append(file.schema_arrow.field("id").type)
    return kinds[0] if len(set(kinds)) == 1 else pa.string()


def _pieces(files: Sequence[Path]) -> Iterator[pa.Table]:
    for path in files:
        with open_parquet(path) as file:
            for batch in file.iter_batches(_ROWS, use_threads=False):
                yield pa.Table.from_batches([batch])
