"""ExampleGen over generated shards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from tfx import v1 as tfx

from components.ingestion.example_gen import Executor, shard_example_gen
from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.shards import TIMELINES
from data.generate import generate
from data.options import GenerateOptions
from serving.artifact_files import timeline_files

pytestmark = pytest.mark.slow


@pytest.fixture
def data(sample_run, tmp_path) -> Path:
    """Give a copy of the sample's shards, to be changed at will."""
    return Path(shutil.copytree(sample_run.paths.data_root, tmp_path / "data"))


def generate_examples(data: Path, tmp_path: Path, digest: str = "") -> tfx.types.standard_artifacts.Examples:
    examples = tfx.types.standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    properties = shard_example_gen(str(data), digest).exec_properties
    Executor().Do({}, {"examples": [examples]}, properties)
    return examples


def count(folder: Path) -> int:
    files = [str(path) for path in folder.iterdir()]
    return sum(1 for _ in tf.data.TFRecordDataset(files, compression_type="GZIP"))


def shard(data: Path, split: str) -> Path:
    return next(data.glob(f"{split}-*"))


def test_both_splits_are_there_whole_and_stay_apart(data, tmp_path):
    manifest = Manifest.load(data)
    examples = generate_examples(data, tmp_path)
    assert json.loads(examples.split_names) == ["train", "eval"]
    for split, expected in (("train", manifest.counts.train), ("eval", manifest.counts.eval)):
        assert count(Path(examples.uri) / f"Split-{split}") == expected
        (copied,) = (Path(examples.uri) / f"Split-{split}").iterdir()
        assert copied.read_bytes() == shard(data, split).read_bytes()


def test_the_artifact_says_which_data_it_holds(data, tmp_path):
    manifest = Manifest.load(data)
    examples = generate_examples(data, tmp_path, manifest.digest)
    assert examples.get_string_custom_property("manifest_digest") == manifest.digest
    assert examples.get_string_custom_property("file_format") == "tfrecords_gzip"


def test_catalogue_and_manifest_come_along(data, tmp_path):
    examples = generate_examples(data, tmp_path)
    for name in ("catalogue.jsonl", MANIFEST_FILE):
        assert (Path(examples.uri) / name).read_bytes() == (data / name).read_bytes()


def test_data_that_changed_since_the_pipeline_was_made_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="changed after the run began"):
        generate_examples(data, tmp_path, "0" * 64)


def test_a_damaged_shard_is_refused_and_named(data, tmp_path):
    path = shard(data, "eval")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=path.name):
        generate_examples(data, tmp_path)


def test_a_missing_shard_is_refused_and_named(data, tmp_path):
    path = shard(data, "train")
    path.unlink()
    with pytest.raises(InputError, match=path.name):
        generate_examples(data, tmp_path)


def test_a_shard_that_the_manifest_lacks_is_refused(data, tmp_path):
    shutil.copy(shard(data, "train"), data / "train-00001-of-00002.tfrecord.gz")
    with pytest.raises(InputError, match=r"train-00001-of-00002\.tfrecord\.gz"):
        generate_examples(data, tmp_path)


def test_a_split_without_shards_is_refused(data, tmp_path):
    shard(data, "eval").unlink()
    content = json.loads((data / MANIFEST_FILE).read_text())
    content["shards"] = [each for each in content["shards"] if each["split"] == "train"]
    (data / MANIFEST_FILE).write_text(json.dumps(content))
    with pytest.raises(InputError, match="no eval shards"):
        generate_examples(data, tmp_path)


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(InputError, match="manifest"):
        generate_examples(tmp_path, tmp_path)


def test_the_datas_digest_is_part_of_the_cache_key(data):
    one, other = (
        shard_example_gen(str(data), digest).exec_properties["custom_config"] for digest in ("a" * 64, "b" * 64)
    )
    assert one != other


def test_timelines_lie_beside_the_splits_and_are_none(tmp_path):
    manifest = generate(GenerateOptions(release="sample", timelines=True), tmp_path / "data")
    examples = generate_examples(tmp_path / "data", tmp_path)
    assert json.loads(examples.split_names) == ["train", "eval"]
    (file,) = timeline_files(examples.uri)
    assert Path(file).read_bytes() == (tmp_path / "data" / manifest.shards_of(TIMELINES)[0].name).read_bytes()
