"""The records of a request log: a request that was answered, and feedback on one, each JSON on a line of its own.

    {"kind":"request","request_id":"4f0c...","time":1764300000.25,"version":3,"labels":["stable"],"user":"u7",
     "history":[8,2,35],"answer":[104,7,19]}
    {"kind":"feedback","request_id":"4f0c...","time":1764300012.5,"taken":[7]}

Keys that a reader doesn't know are passed over.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, TypeAdapter, ValidationError

REQUEST_ID = r"^[0-9a-f]{32}(/[0-9]{1,9})?$"
"""A request's id; of a row of a request with several, the row's number from 0 stands behind it."""

_RequestId = Annotated[str, Field(pattern=REQUEST_ID)]
_Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Ids = tuple[StrictInt | StrictStr, ...]


class ServedRequest(BaseModel):
    """A history that was asked with, and its answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["request"] = "request"
    request_id: _RequestId
    """What feedback names it by."""
    time: _Time
    """When it was answered, in seconds since 1970."""
    version: int = Field(ge=1)
    """The published version that answered."""
    labels: tuple[str, ...] = ()
    """The labels that the version bore."""
    user: StrictInt | StrictStr | None = None
    """Who asked, if the caller said so."""
    history: _Ids
    """Ids, oldest first, as they were asked with."""
    answer: _Ids
    """Ids, best first."""


class Feedback(BaseModel):
    """What was taken of an answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["feedback"] = "feedback"
    request_id: _RequestId
    """The request's."""
    time: _Time
    """When it came, in seconds since 1970."""
    taken: _Ids
    """Ids, whether or not the answer held them."""


Record = ServedRequest | Feedback

_RECORDS: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def write_record(record: Record) -> bytes:
    """Return a record's line, its end included.

    Raises
    ------
    ValueError
        A text of it is no Unicode text.
    """
    return record.model_dump_json(exclude_none=True).encode() + b"\n"


def read_record(line: bytes) -> Record:
    """Return the record of a line.

    Raises
    ------
    ValueError
        The line is none; the message says in a few words why.
    """
    try:
        return _RECORDS.validate_json(line)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"{place}: {fault['msg']}" if place else fault["msg"]) from error
