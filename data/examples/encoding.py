"""Serialise `tf.Example`s from arrays, without an object for each.

Python protobufs take minutes for a million examples. `tfx_bsl`'s record-batch encoder is fast, but writes
the features of each example in an order that changes from process to process, so that no two runs give the
same bytes. All examples of one data set have the same shape, which makes the wire format simple enough to
write on whole arrays: a matrix of bytes, a row for each example, and a mask that says which of the bytes are
there. Most of a row is the same in every example and is copied from a template; only numbers, words and the
lengths that depend on them are filled in. Reading the masked bytes row by row gives the serialised examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Field numbers of tensorflow/core/example/{example,feature}.proto with wire type 2 (length-delimited).
_EXAMPLE_FEATURES = 0x0A
_FEATURES_ENTRY = 0x0A
_ENTRY_KEY = 0x0A
_ENTRY_VALUE = 0x12
_BYTES_LIST = 0x0A
_FLOAT_LIST = 0x12
_INT64_LIST = 0x1A
_LIST_VALUE = 0x0A


@dataclass(frozen=True)
class Ragged:
    """Values of a feature of which examples have different numbers.

    Attributes
    ----------
    values
        `[num_values]`: integers or byte strings, one example's after the other's.
    lengths
        int64 `[num_examples]`: how many values each example has.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True)
class _Columns:
    """Fields that differ between examples: uint8 and bool, both `[num_examples, width]`; None if all are there."""

    content: NDArray[np.uint8]
    present: NDArray[np.bool_] | None


@dataclass(frozen=True)
class _Message:
    """Pieces in the order of the wire: bytes that are the same in every example, or columns.

    `lengths` counts each example's bytes, int64 `[num_examples]`, or is one number for all of them.
    """

    pieces: tuple[bytes | _Columns, ...]
    lengths: NDArray[np.int64] | int


def encode_examples(features: Mapping[str, NDArray[Any] | Ragged]) -> list[bytes]:
    """Serialise examples.

    Features are written in the order of their names, so that equal arrays give equal bytes.

    Parameters
    ----------
    features
        By name an array `[num_examples, num_values]` of integers, of float32, or of byte
        strings (numpy's kind `S`, values shorter than 128 bytes and free of NUL at the end); or
        `Ragged`, of integers or byte strings.

    Returns
    -------
    list[bytes]
        A serialised `tf.Example` for each row.

    Raises
    ------
    TypeError
        An array is of another type.
    ValueError
        A byte string is too long.
    """
    num_examples = min((len(values) for values in features.values()), default=0)
    if not num_examples:
        return []
    entries = [_entry(name, features[name]) for name in sorted(features)]
    example = _delimited(_EXAMPLE_FEATURES, _joined(entries))
    serialised = _read_rows(example, num_examples)
    ends = np.cumsum(np.broadcast_to(example.lengths, num_examples)).tolist()
    return [serialised[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def encode_ragged(features: Mapping[str, NDArray[Any]], lengths: NDArray[np.integer]) -> list[bytes]:
    """Serialise examples of different lengths.

    Parameters
    ----------
    features
        By name an array `[sum of lengths]`, the values of one example behind those of the one before it, of a kind that
        `encode_examples` takes.
    lengths
        int `[num_examples]`: how many values of each feature an example has; at least one.

    Returns
    -------
    list[bytes]
        A serialised `tf.Example` for each length.
    """
    starts = np.cumsum(lengths) - lengths
    serialised = np.empty(len(lengths), dtype=object)
    # Those of one length have one shape.
    for length in np.unique(lengths).tolist():
        chosen = np.flatnonzero(lengths == length)
        sources = starts[chosen, np.newaxis] + np.arange(length)
        encoded = encode_examples({name: values[sources] for name, values in features.items()})
        for place, example in zip(chosen.tolist(), encoded, strict=True):
            serialised[place] = example
    return serialised.tolist()


def _read_rows(message: _Message, num_examples: int) -> bytes:
    """Return the bytes that are there, example by example, each example's pieces in their order."""
    template = b"".join(
        piece if isinstance(piece, bytes) else bytes(piece.content.shape[1]) for piece in message.pieces
    )
    content = np.empty((num_examples, len(template)), dtype=np.uint8)
    content[:] = np.frombuffer(template, dtype=np.uint8)
    present = np.ones(content.shape, dtype=bool)
    start = 0
    for piece in message.pieces:
        if isinstance(piece, bytes):
            start += len(piece)
            continue
        stop = start + piece.content.shape[1]
        content[:, start:stop] = piece.content
        if piece.present is not None:
            present[:, start:stop] = piece.present
        start = stop
    return content[present].tobytes()


def _entry(name: str, given: NDArray[Any] | Ragged) -> _Message:
    """Return one entry of the map `Features.feature`."""
    values, kept = _matrix(given) if isinstance(given, Ragged) else (given, None)
    if values.dtype.kind in "iu":
        list_field, content = _INT64_LIST, _delimited(_LIST_VALUE, _varints(values, kept))
    elif values.dtype == np.float32 and kept is None:
        list_field, content = _FLOAT_LIST, _delimited(_LIST_VALUE, _floats(values))
    elif values.dtype.kind == "S":
        list_field, content = _BYTES_LIST, _strings(values, kept)
    else:
        raise TypeError(f"feature {name!r} has type {values.dtype}, which tf.Example lacks")
    key = _delimited(_ENTRY_KEY, _constant(name.encode()))
    value = _delimited(_ENTRY_VALUE, _delimited(list_field, content))
    return _delimited(_FEATURES_ENTRY, _joined([key, value]))


def _matrix(given: Ragged) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return values as `[num_examples, longest]`, filled up at the end, and which of them are there."""
    kept = np.arange(given.lengths.max(initial=0)) < given.lengths[:, np.newaxis]
    values = np.zeros(kept.shape, dtype=given.values.dtype)
    values[kept] = given.values
    return values, kept


def _joined(messages: list[_Message]) -> _Message:
    pieces = tuple(piece for message in messages for piece in message.pieces)
    return _Message(pieces, sum(message.lengths for message in messages))


def _delimited(tag: int, body: _Message) -> _Message:
    """Return a field: its tag and its length, then its content."""
    lengths = np.atleast_2d(body.lengths).T
    prefix = _varints(lengths)
    if isinstance(body.lengths, int):
        prefix = _constant(_read_rows(prefix, 1))
    return _joined([_constant(bytes([tag])), prefix, body])


def _constant(content: bytes) -> _Message:
    return _Message((content,), len(content))


def _floats(values: NDArray[np.float32]) -> _Message:
    """Return floats `[num_examples, n]` as four bytes each, the lowest first."""
    content = np.ascontiguousarray(values, dtype="<f4").view(np.uint8)
    return _Message((_Columns(content, None),), content.shape[1])


def _varints(values: NDArray[np.integer], kept: NDArray[np.bool_] | None = None) -> _Message:
    """Return integers `[num_examples, n]` in groups of seven bits, the lowest first; only the kept, if said."""
    if values.size and values.min() < 0:
        # Ten bytes, as two's complement has it.
        values = values.astype(np.int64).view(np.uint64)
    largest = int(values.max(initial=0))
    width = max(1, -(-largest.bit_length() // 7))
    num_examples, num_values = values.shape
    if width == 1:
        lengths = num_values if kept is None else kept.sum(axis=1)
        return _Message((_Columns(values.astype(np.uint8), kept),), lengths)
    # Ids and lengths fit in half the bytes, which take half the time.
    narrowest: type[np.unsignedinteger[Any]] = np.uint32 if largest < 1 << 32 else np.uint64
    rest = values.astype(narrowest)
    content = np.empty((num_examples, num_values, width), dtype=np.uint8)
    present = np.ones(content.shape, dtype=bool)
    for group in range(width):
        content[:, :, group] = rest & 0x7F
        rest = rest >> 7
        if group + 1 < width:
            # The upper bit says that another group follows.
            present[:, :, group + 1] = rest > 0
            content[:, :, group] |= present[:, :, group + 1].view(np.uint8) << np.uint8(7)
    if kept is not None:
        present &= kept[:, :, np.newaxis]
    is_there = present.reshape(num_examples, -1)
    return _Message((_Columns(content.reshape(num_examples, -1), is_there),), np.count_nonzero(is_there, axis=1))


def _strings(values: NDArray[np.bytes_], kept: NDArray[np.bool_] | None = None) -> _Message:
    """Return byte strings `[num_examples, n]`, each as a field of its own; where it is said, only the kept."""
    num_examples, num_values = values.shape
    width = values.dtype.itemsize
    text = np.ascontiguousarray(values).view(np.uint8).reshape(num_examples, num_values, width)
    content = np.empty((num_examples, num_values, width + 2), dtype=np.uint8)
    present = np.ones(content.shape, dtype=bool)
    lengths = np.zeros(values.shape, dtype=np.uint16)
    is_there = np.zeros(values.shape, dtype=bool)
    # numpy fills strings up with NULs: a byte is there if it or one behind it is none.
    for place in reversed(range(width)):
        is_there |= text[:, :, place] != 0
        present[:, :, place + 2] = is_there
        lengths += is_there
    if lengths.max(initial=0) > 127:
        raise ValueError("byte strings of 128 bytes and more are not encoded")
    content[:, :, 0] = _LIST_VALUE
    content[:, :, 1] = lengths
    content[:, :, 2:] = text
    numbers: NDArray[np.int64] | int = num_values
    if kept is not None:
        present &= kept[:, :, np.newaxis]
        numbers = kept.sum(axis=1)
    columns = _Columns(content.reshape(num_examples, -1), present.reshape(num_examples, -1))
    return _Message((columns,), lengths.sum(axis=1, dtype=np.int64) + 2 * numbers)
