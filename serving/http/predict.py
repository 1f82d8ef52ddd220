"""TensorFlow Serving's REST form of questions and answers (its `api_rest.md`), for any signature of a SavedModel."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import tensorflow as tf
from numpy.typing import NDArray

Signature = Callable[..., Mapping[str, tf.Tensor]]

_DEFAULT = "serving_default"
_WIDEST = 10_000


class BadRequestError(Exception):
    """A request that can't be answered; its text says why, for the caller."""


@dataclass(frozen=True)
class _Input:
    """What a signature takes under one name: a type and a number of dimensions, the batch's included."""

    dtype: tf.DType
    rank: int


def answer(signatures: Mapping[str, Signature], body: bytes, max_rows: int) -> bytes:
    """Answer the body of a `:predict` request.

    Parameters
    ----------
    signatures
        A loaded model's.
    body
        JSON with `instances`, a row each, or `inputs`, a list for each name, and perhaps `signature_name`.
    max_rows
        Rows in the largest request.

    Returns
    -------
    bytes
        JSON with `predictions`, a row each, or `outputs`, a list for each name, as the request was.

    Raises
    ------
    BadRequestError
        The body is no such request.
    """
    request = _parse(body)
    name = request.get("signature_name") or _DEFAULT
    if not isinstance(name, str) or name not in signatures:
        raise BadRequestError(f"there is no signature {name!r}: there are {', '.join(sorted(signatures))}")
    signature = signatures[name]
    takes = _inputs_of(signature)
    by_row = "instances" in request
    if by_row == ("inputs" in request):
        raise BadRequestError("write either instances, a list of rows, or inputs, a list for each input")
    columns = _columns_of_rows(request["instances"], takes) if by_row else _columns(request["inputs"], takes)
    tensors = {key: _tensor(key, values, takes[key]) for key, values in columns.items()}
    sizes = {len(values) for values in tensors.values()}
    if len(sizes) > 1:
        raise BadRequestError("the inputs have different numbers of rows")
    if max(sizes, default=0) > max_rows:
        raise BadRequestError(f"at most {max_rows} rows may be asked at once")
    try:
        answered = signature(**{key: tf.constant(values, takes[key].dtype) for key, values in tensors.items()})
    except tf.errors.InvalidArgumentError as error:
        raise BadRequestError(
            f"the signature {name} can't be asked so: {' '.join(error.message.split())[:300]}"
        ) from error
    outputs = {key: _plain(value) for key, value in answered.items()}
    return orjson.dumps(_rows(outputs) if by_row else _whole(outputs), option=orjson.OPT_SERIALIZE_NUMPY)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadRequestError("the body is not an object with instances or inputs")
    return request


def _inputs_of(signature: Any) -> dict[str, _Input]:
    specs = signature.structured_input_signature[1]
    return {name: _Input(spec.dtype, spec.shape.rank) for name, spec in specs.items()}


def _columns_of_rows(rows: Any, takes: Mapping[str, _Input]) -> dict[str, list[Any]]:
    """Return a list for each input. A row names its inputs; of a single one it may be the bare value."""
    if not isinstance(rows, list) or not rows:
        raise BadRequestError("instances is not a list of rows")
    if len(takes) == 1 and not _is_named(rows[0]):
        return {next(iter(takes)): rows}
    for row in rows:
        if not isinstance(row, dict) or row.keys() != takes.keys():
            raise BadRequestError(f"each row of instances is an object with {_names(takes)}")
    return {name: [row[name] for row in rows] for name in takes}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and "b64" not in value


def _columns(inputs: Any, takes: Mapping[str, _Input]) -> dict[str, list[Any]]:
    """Return a list for each input. Of a single one it may stand bare."""
    if len(takes) == 1 and not isinstance(inputs, dict):
        inputs = {next(iter(takes)): inputs}
    if not isinstance(inputs, dict) or inputs.keys() != takes.keys():
        raise BadRequestError(f"inputs is an object with {_names(takes)}")
    return inputs


def _names(takes: Mapping[str, _Input]) -> str:
    return ", ".join(takes)


def _tensor(name: str, values: Any, wanted: _Input) -> NDArray[Any]:
    """Return an input's values as an array; rows are equally long, as a tensor's are."""
    rows = values if wanted.rank > 1 else [values]
    if not isinstance(values, list) or not all(isinstance(row, list) for row in rows):
        raise BadRequestError(f"{name} is not a list{' of lists' if wanted.rank > 1 else ''}")
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise BadRequestError(f"the rows of {name} have different lengths: fill them up at the end")
    if wanted.rank > 1 and max(widths, default=0) > _WIDEST:
        raise BadRequestError(f"a row of {name} holds more than {_WIDEST:,} values")
    of_type = _TYPES.get(wanted.dtype)
    if of_type is None:
        raise BadRequestError(f"{name} is of type {wanted.dtype.name}, which can't be asked in JSON here")
    flat = [of_type.convert(name, value) for row in rows for value in row]
    shape = (len(rows), max(widths, default=0)) if wanted.rank > 1 else (len(flat),)
    try:
        return np.array(flat, of_type.stored).reshape(shape)
    except OverflowError as error:
        raise BadRequestError(f"{name} holds a number of more than 64 bits") from error


@dataclass(frozen=True)
class _Type:
    stored: Any
    convert: Callable[[str, Any], Any]


def _integer(name: str, value: Any) -> int:
    if type(value) is not int:
        raise BadRequestError(f"{name} holds {_short(value)}, which is no whole number")
    return value


def _boolean(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise BadRequestError(f"{name} holds {_short(value)}, which is neither true nor false")
    return value


def _text(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequestError(f"{name} holds b64 that is none") from error
    raise BadRequestError(f"{name} holds {_short(value)}, which is no text")


_TYPES: Mapping[tf.DType, _Type] = {
    tf.int64: _Type(np.int64, _integer),
    tf.bool: _Type(np.bool_, _boolean),
    tf.string: _Type(object, _text),
}


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 40 else f"{text[:40]}..."


def _plain(value: tf.Tensor) -> Any:
    array = value.numpy()
    if array.dtype != object:
        return np.ascontiguousarray(array)
    return _decoded(array.tolist())


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _rows(outputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return a row for each query; of a single output the bare value."""
    if len(outputs) == 1:
        [values] = outputs.values()
        return {"predictions": values}
    names = tuple(outputs)
    return {"predictions": [dict(zip(names, row, strict=True)) for row in zip(*outputs.values(), strict=True)]}


def _whole(outputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return a list for each output; of a single one the bare list."""
    if len(outputs) == 1:
        [values] = outputs.values()
        return {"outputs": values}
    return {"outputs": dict(outputs)}
