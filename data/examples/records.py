"""Frame records as TFRecords: each between its length and its checksum."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import google_crc32c
import numpy as np
from numpy.typing import NDArray

_HEADER = np.dtype([("length", "<u8"), ("crc", "<u4")])
_MASK_DELTA = np.uint32(0xA282EAD8)


def frame_records(records: Sequence[bytes]) -> bytes:
    """Return records as they lie in a TFRecord file that is not compressed.

    Files may be written in pieces: the frames of several calls, one after the other, are a TFRecord file.

    Parameters
    ----------
    records
        Serialised examples, or any other bytes.
    """
    lengths = np.fromiter(map(len, records), dtype=np.uint64, count=len(records))
    distinct, places = np.unique(lengths, return_inverse=True)
    headers = np.empty(len(records), dtype=_HEADER)
    headers["length"] = lengths
    headers["crc"] = _masked_crcs([length.tobytes() for length in distinct.astype("<u8")])[places]
    footers = _masked_crcs(records).astype("<u4")
    # As void, because numpy takes trailing NULs for the end of byte strings.
    frames = zip(headers.view(f"V{_HEADER.itemsize}").tolist(), records, footers.view("V4").tolist(), strict=True)
    return b"".join(chain.from_iterable(frames))


def _masked_crcs(records: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return CRC-32Cs, masked as TFRecord does, uint32 `[len(records)]`."""
    crcs = np.fromiter(map(google_crc32c.value, records), dtype=np.uint32, count=len(records))
    return ((crcs >> np.uint32(15)) | (crcs << np.uint32(17))) + _MASK_DELTA
