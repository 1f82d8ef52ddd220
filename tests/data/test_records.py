"""TFRecord frames, beside those of TensorFlow's own writer."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from data.examples import shards
from data.examples.feature_table import FeatureTable
from data.examples.records import frame_records
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue, Movie
from data.timelines.windows import window_dtype


@given(records=st.lists(st.binary(max_size=300), max_size=20), cut=st.integers(0, 20))
def test_the_frames_are_those_that_tensorflow_writes(tmp_path_factory, records: list[bytes], cut: int):
    path = tmp_path_factory.mktemp("records") / "file"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    assert frame_records(records) == path.read_bytes()
    assert frame_records(records[:cut]) + frame_records(records[cut:]) == path.read_bytes()


def test_a_frame_worked_out_by_hand():
    # The length in eight bytes and the record in between; the CRC-32C of b"123456789" is 0xE3069283 by its definition.
    crc = 0xE3069283
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    frame = frame_records([b"123456789"])
    assert frame[:8] == b"\x09" + bytes(7)
    assert frame[12:21] == b"123456789"
    assert frame[21:] == masked.to_bytes(4, "little")


def _windows(count: int) -> np.ndarray:
    windows = np.zeros(count, dtype=window_dtype(3))
    windows["order"] = np.arange(count)[::-1]
    windows["label"] = 1
    windows["movies"] = [1, 2, 0]
    windows["length"] = 2
    return windows


TABLE = FeatureTable(
    Catalogue.of([Movie(1, "A (1990)", 1990, ("Drama",)), Movie(2, "B", 0, ())]),
    GenerateOptions(release="sample", max_context_length=3),
)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_a_shard_is_the_same_however_it_is_cut_into_slices(tmp_path: Path, monkeypatch, count: int):
    whole = shards.write_shard(tmp_path, tmp_path, "whole", "train", [_windows(count)], TABLE)
    monkeypatch.setattr(shards, "_EXAMPLES_PER_SLICE", 4)
    cut = shards.write_shard(tmp_path, tmp_path, "cut", "train", [_windows(count)], TABLE)
    assert whole.examples == cut.examples == count
    content = gzip.decompress((tmp_path / "cut").read_bytes())
    assert content == gzip.decompress((tmp_path / "whole").read_bytes())
    assert cut.sha256 == shards.file_sha256(tmp_path / "cut")
    assert cut.bytes == (tmp_path / "cut").stat().st_size


def test_a_fault_while_encoding_ahead_reaches_the_caller_and_leaves_no_shard(tmp_path: Path, monkeypatch):
    taken = []

    def fail_at_the_third(records: list[bytes]) -> bytes:
        taken.append(records)
        if len(taken) == 3:
            raise MemoryError("no room")
        return frame_records(records)

    monkeypatch.setattr(shards, "_EXAMPLES_PER_SLICE", 4)
    monkeypatch.setattr(shards, "frame_records", fail_at_the_third)
    with pytest.raises(MemoryError, match="no room"):
        shards.write_shard(tmp_path, tmp_path, "shard", "train", [_windows(100)], TABLE)
    assert not (tmp_path / "shard").exists()
    assert len(taken) == 3


def test_no_more_than_one_slice_is_encoded_ahead(tmp_path: Path, monkeypatch):
    # What was encoded when each slice came to be compressed: that slice, and at most the next.
    encoded: list[bytes] = []
    seen: list[int] = []

    def count(records: list[bytes]) -> bytes:
        encoded.append(frame_records(records))
        return encoded[-1]

    def look(pieces):
        for piece in pieces:
            seen.append(len(encoded))
            yield piece

    monkeypatch.setattr(shards, "_EXAMPLES_PER_SLICE", 1)
    monkeypatch.setattr(shards, "frame_records", count)
    monkeypatch.setattr(shards, "_compressed", look)
    shards.write_shard(tmp_path, tmp_path, "shard", "train", [_windows(20)], TABLE)
    assert len(seen) == 20
    assert all(place + 1 <= number <= place + 2 for place, number in enumerate(seen))


def test_a_worker_that_dies_leaves_nothing_among_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, work = tmp_path / "shards", tmp_path / "work"
    folder.mkdir()
    work.mkdir()

    def die(_: Path, __: Path) -> None:
        raise SystemExit

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(SystemExit):
        shards.write_shard(folder, work, "shard", "train", [_windows(20)], TABLE)
    assert not list(folder.iterdir())
