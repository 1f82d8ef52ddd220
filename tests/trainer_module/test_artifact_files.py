"""Files of artifacts, on a local disk and where pathlib finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from data.errors import InputError
from data.examples.manifest import DataSizes, Manifest
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue, Movie
from serving.artifact_files import exists, read_catalogue, read_manifest
from serving.recommender import Recommender

MANIFEST = Manifest(
    release="sample",
    source_digest="source",
    options=GenerateOptions(release="sample"),
    split="random",
    counts=DataSizes(train=9, eval=1, ratings=12, users=2, movies=1),
    shards=(),
    catalogue_file="catalogue.jsonl",
    catalogue_sha256="catalogue",
    libraries={},
)
CATALOGUE = Catalogue.of([Movie(3, "Amélie (2001)", 2001, ("Comedy", "Romance"))])


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path: Path) -> str:
    """Give a folder with a manifest and a catalogue."""
    MANIFEST.save(tmp_path)
    CATALOGUE.save(tmp_path / "catalogue.jsonl")
    if request.param == "disk":
        return str(tmp_path)
    root = f"ram://{tmp_path.name}/examples"
    for path in tmp_path.iterdir():
        tf.io.gfile.copy(str(path), f"{root}/{path.name}", overwrite=True)
    return root


def write(path: str, content: bytes) -> None:
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(content)


def test_a_manifest_is_read(root):
    assert read_manifest(root) == MANIFEST


def test_a_catalogue_is_read(root):
    assert read_catalogue(f"{root}/catalogue.jsonl").movie(3) == CATALOGUE.movie(3)


def test_a_file_is_there_or_not(root):
    assert exists(f"{root}/manifest.json")
    assert not exists(f"{root}/nothing.json")


@pytest.mark.parametrize("content", [b"{", b"{}", b"\xff\xfe"])
def test_a_damaged_manifest_is_refused_by_name_in_one_line(root, content):
    write(f"{root}/manifest.json", content)
    with pytest.raises(InputError, match="is not a readable manifest") as refused:
        read_manifest(root)
    assert f"{root}/manifest.json" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"{", b'{"id": 1}', b"\xff\xfe", b"[1]"])
def test_a_damaged_catalogue_is_refused_by_name(root, content):
    write(f"{root}/catalogue.jsonl", content)
    with pytest.raises(InputError, match="is not a readable catalogue"):
        read_catalogue(f"{root}/catalogue.jsonl")


@pytest.mark.parametrize("place", ["ram://nothing/here", "s3://bucket/root", "/nothing/here"])
def test_a_manifest_that_can_not_be_had_is_refused_by_name_in_one_line(place):
    with pytest.raises(InputError, match="can't be read") as refused:
        read_manifest(place)
    assert str(refused.value).startswith(f"{place}/manifest.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["ram://nothing/here", "s3://bucket/root", "/nothing/here"])
def test_a_place_without_a_model_is_refused_by_name_in_one_line(place):
    with pytest.raises(InputError, match=r"no published model|can't be read") as refused:
        Recommender.load(place)
    assert str(refused.value).startswith(place)
    assert "\n" not in str(refused.value)
