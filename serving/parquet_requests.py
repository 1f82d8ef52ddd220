"""Histories in a Parquet file, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from data.errors import InputError, one_line
from data.parquet import open_parquet
from data.releases.catalogue import Catalogue
from serving.batch_job import Request, check_columns

_ROWS = 4096
"""Read at once."""

_BUFFER_BYTES = 1 << 20
"""Read at once of each column: without it Arrow reads all that a row group has of it, perhaps the whole file's."""


def read_parquet(source: Path, catalogue: Catalogue) -> Iterator[Request]:
    """Yield the requests of a Parquet file.

    Parameters
    ----------
    source
        A file with a column `history`, lists of integers of any width or of texts as the catalogue's ids are, without
        nulls, and perhaps a column `id` of integers or texts.
    catalogue
        Says what an id may be.

    Raises
    ------
    InputError
        The file can't be read, is damaged, or is not of that form.
    """
    with _opened(source) as file:
        names = _checked_columns(source, file.schema_arrow, catalogue)
        row = 0
        for batch in file.iter_batches(_ROWS, columns=names, use_threads=False):
            histories = batch.column("history").to_pylist()
            ids = batch.column("id").to_pylist() if "id" in names else None
            for place, history in enumerate(histories):
                row += 1
                if history is None or not all(map(catalogue.may_be_id, history)):
                    raise InputError(
                        f"{source}, row {row} is no history: it is null, or holds what is no id", code="M14"
                    )
                yield {} if ids is None else {"id": ids[place]}, history
        # Some damage Arrow takes for an early end.
        if row != file.metadata.num_rows:
            raise InputError(
                f"{source} is damaged: it ends after {row:,} of {file.metadata.num_rows:,} rows", code="M14"
            )


def id_type(source: Path) -> pa.DataType:
    """Return the type of a Parquet file's ids; of texts where it has none."""
    with _opened(source) as file:
        schema = file.schema_arrow
    return _plain(schema.field("id").type) if "id" in schema.names else pa.string()


@contextmanager
def _opened(source: Path) -> Iterator[pq.ParquetFile]:
    """Open a file, and tell faults within the block in one line."""
    if not source.is_file():
        raise InputError(f"{source} is a pipe or a device, in which Parquet can't be sought: name a file", code="M14")
    try:
        with source.open("rb") as content, open_parquet(content, buffer_size=_BUFFER_BYTES) as file:
            yield file
    except pa.ArrowException as error:
        raise InputError(f"{source} can't be read as Parquet: {one_line(error)}", code="M14") from error
    except OSError as error:
        # Arrow says by an `OSError` without a number, too, that a page is damaged.
        if error.errno is None:
            raise InputError(f"{source} can't be read as Parquet: {one_line(error)}", code="M14") from error
        raise InputError(f"{source} can't be read: {error.strerror or error}", code="M13") from error


def _checked_columns(source: Path, schema: pa.Schema, catalogue: Catalogue) -> list[str]:
    """Return the names of the columns to be read."""
    check_columns(source, schema.names)
    found = schema.field("history").type
    wanted = "texts" if catalogue.has_texts else "integers"
    is_list = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
    if not is_list or _kind(found.value_type) != wanted:
        raise InputError(f"{source}: `history` is {found}, and has to be lists of {wanted}", code="M14")
    if "id" not in schema.names:
        return ["history"]
    if _kind(schema.field("id").type) is None:
        raise InputError(f"{source}: `id` is {schema.field('id').type}, and has to be integers or texts", code="M14")
    return ["history", "id"]


def _kind(found: pa.DataType) -> str | None:
    """Return what a type's values are to people; None if neither integers nor texts."""
    plain = _plain(found)
    if types.is_integer(plain):
        return "integers"
    return "texts" if types.is_string(plain) or types.is_large_string(plain) else None


def _plain(found: pa.DataType) -> pa.DataType:
    """Return the type of the values behind a dictionary, as pandas writes categories."""
    return found.value_type if types.is_dictionary(found) else found
