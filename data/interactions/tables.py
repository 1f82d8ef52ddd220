"""Columns of files in CSV, TSV, JSON lines and Parquet, piece by piece, as Arrow's arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson

from data.errors import InputError
from data.interactions.files import DataFile
from data.parquet import open_parquet
from data.releases.lines import BLOCK_BYTES, whole_lines

_ROWS_PER_BATCH = 1 << 18
_DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class Piece:
    """Some rows of a file.

    Attributes
    ----------
    columns
        An array for each column that was asked for and is there, by what it means.
    first_row
        The number of the first row, from 1, a header not counted.
    """

    columns: dict[str, pa.Array]
    first_row: int


def read_pieces(file: DataFile, names: Mapping[str, str | None], usual: Mapping[str, Sequence[str]]) -> Iterator[Piece]:
    """Read columns of a file.

    Parameters
    ----------
    file
        The file.
    names
        What a person calls the columns, by what they mean; None where one of the usual names is looked for.
    usual
        For each meaning the usual names, in small letters, the likeliest first.

    Yields
    ------
    Piece
        The rows in their order.

    Raises
    ------
    InputError
        The file can't be read, is of another format, or lacks a column that a person named.
    """
    try:
        with file.open() as stream:
            header = _header(file, stream)
        chosen = _choose(file, header, names, usual)
        with file.open() as stream:
            first_row = 1
            for batch in _BATCHES[file.format](file, stream, chosen):
                columns = {meaning: batch.column(batch.schema.get_field_index(chosen[meaning])) for meaning in chosen}
                if batch.num_rows:
                    yield Piece(columns, first_row)
                first_row += batch.num_rows
    except (OSError, pa.ArrowException, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        kind = {"csv": "CSV", "tsv": "TSV", "jsonl": "JSON lines", "parquet": "Parquet"}[file.format]
        raise InputError(f"{file.label} can't be read as {kind}: {reason}", code="D25") from error


def _choose(
    file: DataFile, header: Sequence[str], names: Mapping[str, str | None], usual: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Return the columns' names in the file by what they mean."""
    chosen = {}
    by_small_name = {name.lower(): name for name in reversed(header)}
    for meaning, name in names.items():
        if name is not None:
            if name not in header:
                raise InputError(
                    f"{file.label} has no column {name!r} for `columns.{meaning}`: it has {', '.join(header)}",
                    code="D26",
                )
            chosen[meaning] = name
            continue
        found = next((by_small_name[candidate] for candidate in usual[meaning] if candidate in by_small_name), None)
        if found is not None:
            chosen[meaning] = found
    return chosen


def _header(file: DataFile, stream: pa.NativeFile) -> list[str]:
    if file.format == "parquet":
        return list(open_parquet(stream).schema_arrow.names)
    if file.format == "jsonl":
        return list(_first_object(file, stream))
    with pacsv.open_csv(stream, parse_options=_parse_options(file)) as reader:
        return list(reader.schema.names)


def _parse_options(file: DataFile) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(delimiter=_DELIMITERS[file.format], newlines_in_values=True)


def _csv_batches(file: DataFile, stream: pa.NativeFile, chosen: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    columns = list(chosen.values())
    convert = pacsv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.string()),
        # What is between quotes is there, even if it is empty.
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    read = pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
    with pacsv.open_csv(
        stream, read_options=read, parse_options=_parse_options(file), convert_options=convert
    ) as reader:
        yield from reader


def _parquet_batches(file: DataFile, stream: pa.NativeFile, chosen: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    yield from open_parquet(stream).iter_batches(_ROWS_PER_BATCH, columns=list(chosen.values()))


def _json_batches(file: DataFile, stream: pa.NativeFile, chosen: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    types: dict[str, pa.DataType] = {}
    for piece in _pieces(file, stream):
        for name in chosen.values():
            if name not in types:
                value = _first_value(piece, name)
                if value is not None:
                    types[name] = _json_type(value)
        schema = pa.schema([(name, types.get(name, pa.string())) for name in chosen.values()])
        table = pajson.read_json(
            pa.BufferReader(piece),
            read_options=pajson.ReadOptions(use_threads=False, block_size=len(piece) + 1),
            parse_options=pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        yield from table.to_batches()


def _pieces(file: DataFile, stream: pa.NativeFile) -> Iterator[bytes]:
    """Yield a file's lines in pieces; what is wrong with a piece is told with the file's name."""
    try:
        yield from whole_lines(stream)
    except InputError as error:
        raise InputError(f"{file.label} {error.message}", code=error.code) from error


def _first_object(file: DataFile, stream: pa.NativeFile) -> dict[str, object]:
    for piece in _pieces(file, stream):
        for line in piece.splitlines():
            if line.strip():
                return _as_object(line)
    return {}


def _first_value(piece: bytes, name: str) -> object:
    """Return the first value of a column in a piece that is not null."""
    for line in piece.splitlines():
        if line.strip() and (value := _as_object(line).get(name)) is not None:
            return value
    return None


def _as_object(line: bytes) -> dict[str, object]:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("a line is no object")
    return value


def _json_type(value: object) -> pa.DataType:
    if isinstance(value, list):
        return pa.list_(pa.string())
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{json.dumps(value)} is neither a text nor a number")
    return pa.string() if isinstance(value, str) else pa.int64() if isinstance(value, int) else pa.float64()


_BATCHES = {"csv": _csv_batches, "tsv": _csv_batches, "jsonl": _json_batches, "parquet": _parquet_batches}
