"""Batches for models that read whole histories: the queries of one user together, in the order of their lengths.

These are the beginnings of one timeline, and a model reads as far as the longest of a batch alone
(`trainer_module.long_runs`). In the files examples lie in the order of a hash, in which no batch has two of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma

from data.features import SEEN_MOVIE_ID

_TOLD_APART_BY = 4
"""Movies at the beginnings of histories by which users are told apart."""

_PARTS = 16
"""Into how many parts users fall, each sorted in memory."""

_BATCH = 1_000
_KEY = "histories_together"


class TogetherByUser(beam.PTransform):
    """Puts TFMA's batches of examples together anew, without what examples hold of histories beside their records."""

    def expand(self, extracts: beam.PCollection) -> beam.PCollection:
        """Return extracts of batches, from extracts of batches."""
        return (
            extracts
            | "KeyByUser" >> beam.FlatMap(keyed)
            | "GroupUsers" >> beam.GroupByKey()
            | "SortByUser" >> beam.FlatMapTuple(sorted_batches)
        )


def keyed(extracts: dict[str, Any]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows of a batch in parts by user, each with the column that they are sorted by.

    Parameters
    ----------
    extracts
        TFMA's, with a batch of examples that hold histories.
    """
    batch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    place = batch.schema.get_field_index(SEEN_MOVIE_ID)
    seen = batch.column(place)
    lengths = seen.value_lengths().fill_null(0).to_pylist()
    # The beginning, then the length: ids as texts, which order texts and numbers alike.
    keys = [
        f"{seen.values.slice(start, min(_TOLD_APART_BY, length)).to_pylist()} {length:09d}"
        for start, length in zip(seen.offsets.to_pylist()[:-1], lengths, strict=True)
    ]
    part = np.array([zlib.crc32(key[:-10].encode()) % _PARTS for key in keys])
    kept = [number for number in range(batch.num_columns) if number != place]
    table = pa.RecordBatch.from_arrays(
        [*(batch.column(number) for number in kept), pa.array(keys)],
        [*(batch.schema.names[number] for number in kept), _KEY],
    )
    for number in np.unique(part).tolist():
        yield number, table.take(pa.array(np.flatnonzero(part == number)))


def sorted_batches(part: int, batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Yield extracts of the batches of one part, user by user.

    Parameters
    ----------
    part
        Its number, which says nothing.
    batches
        As `keyed` yields them.
    """
    table = pa.Table.from_batches(batches).sort_by(_KEY).drop([_KEY])
    for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH):
        yield {tfma.ARROW_RECORD_BATCH_KEY: batch}
