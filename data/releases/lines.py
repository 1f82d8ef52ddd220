"""What a line of a release's files is, for all who read them.

A line ends with LF, CR LF or CR alone, as Arrow and Python's `splitlines` for bytes have it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO

from data.errors import InputError

BLOCK_BYTES = 8 << 20
"""How much is read at once, and the longest line."""

_LINE_ENDS = (b"\n", b"\r")
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's content in pieces of about `BLOCK_BYTES` that end where a line does, without the UTF-8 mark.

    Raises
    ------
    InputError
        A line is longer than a piece, or the file begins with the mark of UTF-16 or UTF-32.
    """
    rest = b""
    is_first = True
    while block := _read_block(file):
        if is_first:
            check_mark(block)
            block = block.removeprefix(codecs.BOM_UTF8)
            is_first = False
        end = 1 + max(block.rfind(line_end) for line_end in _LINE_ENDS)
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
            if len(rest) > BLOCK_BYTES:
                raise InputError(f"holds a line of more than {BLOCK_BYTES:,} bytes", code="D12")
    if rest:
        yield rest


def check_mark(content: bytes) -> None:
    """Raise an `InputError` if text begins with the mark of UTF-16 or UTF-32."""
    for mark, name in _WIDE_MARKS.items():
        if content.startswith(mark):
            raise InputError(f"is {name} text; save it as UTF-8", code="D11")


def numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield a file's lines with their numbers from 1, without their ends; raises as `whole_lines`."""
    number = 0
    for piece in whole_lines(file):
        for line in piece.splitlines():
            number += 1
            yield number, line


def _read_block(file: IO[bytes]) -> bytes:
    block = file.read(BLOCK_BYTES)
    # CR LF must not be parted: it would count as two line ends.
    return block + file.read(1) if block.endswith(b"\r") else block
