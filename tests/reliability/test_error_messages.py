"""Full and read-only disks, damaged artifacts and metadata, two runs at once: one clear line, and nothing lost.

All of it happens to one work directory, in which a model is published. Then a run that nothing happens to has to
succeed in the same place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import tensorflow as tf
import yaml
from filelock import FileLock, Timeout
from forked_runs import (
    Ended,
    Run,
    can_mount,
    copy_onto_small_disk,
    fill_disk_of,
    kill_in_step,
    make_read_only,
    mount_small_disk,
    pause_in_step,
    run,
    tell_whether_published,
)

from components.gate_settings import ModelGateSettings
from pipeline.runs.record import read_run_record
from serving.versions import model_digest, published_versions

pytestmark = pytest.mark.slow

CHANGED = {
    "name": "default",
    "data": {"release": "sample", "shards": 3},
    "training": {"epochs": 1, "batch_size": 1024},
    # It is about how it ends, not about how good the model is.
    "model_gate": {"min_recall_at_10_lift": 0, "max_recall_at_10_drop": 1},
}


@dataclass(frozen=True)
class Place:
    """A work directory in which everything goes wrong."""

    work_dir: Path
    home: Path
    serving: Path
    config: Path

    def run(self, **hooks: Callable[[], None]) -> Ended:
        return run("--config", self.config, "--work-dir", self.work_dir, **hooks)

    @property
    def train_shards(self) -> list[Path]:
        """Return the shards of the newest Examples artifact."""
        newest = max((self.home / "artifacts" / "ExampleGen" / "examples").iterdir(), key=lambda path: int(path.name))
        return sorted((newest / "Split-train").iterdir())


@pytest.fixture(scope="module")
def place(sample_run, tmp_path_factory) -> Iterator[Place]:
    """Give the shared run's work directory, which is put back afterwards."""
    config = tmp_path_factory.mktemp("faults") / "changed.yaml"
    config.write_text(yaml.safe_dump(CHANGED))
    with sample_run.put_back():
        metadata = Path(sample_run.paths.metadata)
        place = Place(sample_run.work_dir, metadata.parent, Path(sample_run.paths.serving), config)
        yield place


@pytest.fixture(autouse=True)
def published(place) -> Iterator[None]:
    """See to it that what was published is still there, to the byte."""
    [first, *_] = published_versions(place.serving)
    digest = model_digest(place.serving / str(first))
    yield
    assert first in published_versions(place.serving)
    assert model_digest(place.serving / str(first)) == digest


def assert_refused(ended: Ended, *said: str) -> None:
    assert ended.code in (1, 2), ended
    assert len(ended.errors.splitlines()) == 1, ended.errors
    assert ended.errors.startswith("error: ")
    for part in said:
        assert part in ended.errors


@pytest.fixture(scope="module")
def mounts() -> None:
    """Skip where no small disks can be had."""
    if not can_mount():
        pytest.skip("full disks need the right to mount some")


@pytest.mark.usefixtures("mounts")
def test_a_work_directory_that_can_not_be_written_is_named(place):
    ended = place.run(before=partial(make_read_only, place.work_dir))
    assert_refused(ended, f"{place.work_dir} can't be written", "Read-only file system")


@pytest.mark.usefixtures("mounts")
def test_no_space_for_the_shards(place):
    before = {path.name for path in (place.work_dir / "data").iterdir()}
    ended = place.run(before=partial(mount_small_disk, place.work_dir / "data", 200_000))
    assert_refused(ended, "no space left on the disk of", "free some and run again")
    assert {path.name for path in (place.work_dir / "data").iterdir()} == before


@pytest.mark.usefixtures("mounts")
def test_no_space_for_the_model(place):
    ended = place.run(before=partial(mount_small_disk, place.home / "artifacts" / "Trainer", 100_000))
    assert_refused(ended, "step Trainer failed: no space is left on the disk: free some and run again")


@pytest.mark.usefixtures("mounts")
def test_no_space_for_the_metadata(place, tmp_path):
    ended = place.run(before=partial(fill_disk_of, place.home / "metadata.sqlite", tmp_path, 0))
    assert_refused(ended, "failed: no space is left on the disk: free some and run again")


@pytest.mark.usefixtures("mounts")
def test_no_space_for_the_metadata_of_a_first_run(place):
    start = time.monotonic()
    ended = run(
        *("--release", "sample", "--split", "temporal", "--work-dir", place.work_dir),
        before=partial(mount_small_disk, place.work_dir / "pipelines", 65_536),
    )
    assert_refused(ended, "no space is left on the disk: free some and run again")
    assert time.monotonic() - start < 60


def cut(shard: Path) -> None:
    os.truncate(shard, shard.stat().st_size // 2)


def flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0x10
    shard.write_bytes(content)


def retype(shard: Path) -> None:
    records = list(tf.data.TFRecordDataset(str(shard), compression_type="GZIP").as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard), "GZIP") as writer:
        for record in records:
            example = tf.train.Example.FromString(record)
            label = example.features.feature["label_movie_id"]
            label.bytes_list.value[:] = [str(movie).encode() for movie in label.int64_list.value]
            writer.write(example.SerializeToString())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "what an earlier step wrote is damaged: run again with --no-cache"),
        (flip, "what an earlier step wrote is damaged: run again with --no-cache"),
        (retype, "label_movie_id"),
    ],
)
def test_a_shard_that_was_damaged_after_its_step_is_not_trained_on(place, damage, said):
    if len(place.train_shards) == 1:
        # So that the next run gets as far as the Trainer.
        place.run(before=partial(kill_in_step, "Trainer", 0))
    shard = place.train_shards[1]
    content = shard.read_bytes()
    damage(shard)
    try:
        ended = place.run()
    finally:
        shard.write_bytes(content)
    assert_refused(ended, said)


@pytest.mark.parametrize("fault", ["overwritten", "cut", "scribbled", "gone"])
def test_metadata_that_can_not_be_relied_on_is_named_before_anything_runs(place, fault):
    metadata = place.home / "metadata.sqlite"
    content = metadata.read_bytes()
    metadata.unlink()
    if fault != "gone":
        scribbled = content[:8192] + os.urandom(65_536) + content[8192 + 65_536 :]
        metadata.write_bytes({"overwritten": b"x" * 9999, "cut": content[:99_999], "scribbled": scribbled}[fault])
    try:
        ended = place.run()
    finally:
        metadata.write_bytes(content)
    assert ended.code == 2
    assert_refused(ended, "metadata", f"move {place.home} away and run again; what is published stays")
    assert "loading TFX" not in ended.output


@pytest.mark.usefixtures("mounts")
def test_no_space_for_the_published_model(place):
    digest = model_digest(place.serving / "1")
    ended = place.run(
        before=partial(copy_onto_small_disk, place.serving, 100_000),
        after=partial(tell_whether_published, place.serving, digest),
    )
    assert_refused(ended, "step Pusher failed: no space is left on the disk: free some and run again")
    assert "seen: [1] True" in ended.output


def test_two_runs_at_once_are_one_run_and_a_clear_answer(place, tmp_path):
    go_on = tmp_path / "go-on"
    first = Run(
        "--config", place.config, "--work-dir", place.work_dir, before=partial(pause_in_step, "DataGate", go_on)
    )
    deadline = time.monotonic() + 120
    while _is_free(place.work_dir / ".lock") and time.monotonic() < deadline:
        time.sleep(0.1)
    second = place.run()
    go_on.touch()
    ended = first.end()

    assert second.code == 2
    assert_refused(second, f"another run is at work in {place.work_dir}")
    assert (ended.code, ended.errors) == (0, "")


def test_what_went_wrong_before_is_forgotten_once_nothing_does(place):
    ended = place.run()
    assert (ended.code, ended.errors) == (0, "")
    assert published_versions(place.serving) == [1, 2]
    record = read_run_record(str(place.home / "metadata.sqlite"), ModelGateSettings())
    assert {step.state for step in record.steps} <= {"done", "cached"}
    assert sorted(path.name for path in place.serving.iterdir()) == ["1", "2"]


def test_a_model_that_is_not_servable_is_refused_end_to_end(place, tmp_path):
    impatient = tmp_path / "impatient.yaml"
    impatient.write_text(yaml.safe_dump({**CHANGED, "servable_check": {"max_latency_ms": 0.001}}))
    before = published_versions(place.serving)
    ended = run("--config", impatient, "--work-dir", place.work_dir)
    assert ended.code == 3
    assert "not servable: a request takes" in ended.output
    assert "not published; what was served before still is" in ended.output
    assert published_versions(place.serving) == before


def _is_free(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False
