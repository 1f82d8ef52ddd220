"""Data that were generated elsewhere, taken over into a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE
from data.generate import generate
from data.options import GenerateOptions

pytestmark = pytest.mark.slow

OPTIONS = GenerateOptions(release="sample")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    generate(OPTIONS, tmp_path / "given")
    return tmp_path / "given"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_data_generated_elsewhere_are_taken_over_as_they_are(given: Path, tmp_path: Path):
    from components.ingestion.data_generator import take_over

    take_over(given, tmp_path / "taken", OPTIONS)
    assert contents(tmp_path / "taken") == contents(given)


def test_data_of_an_earlier_format_are_refused(given: Path, tmp_path: Path):
    # Their catalogue counts no train labels by period, and the floor would be that of all time without a word.
    from components.ingestion.data_generator import take_over

    manifest = json.loads((given / MANIFEST_FILE).read_text())
    (given / MANIFEST_FILE).write_text(json.dumps({**manifest, "format_version": 1}))
    with pytest.raises(InputError, match="the data root holds data of format 1, and this version reads format 2"):
        take_over(given, tmp_path / "taken", OPTIONS)
    assert not (tmp_path / "taken").exists()


def test_data_of_other_options_are_refused(given: Path, tmp_path: Path):
    from components.ingestion.data_generator import take_over

    with pytest.raises(InputError, match="generated with other options than the pipeline was compiled with"):
        take_over(given, tmp_path / "taken", OPTIONS.model_copy(update={"seed": 1}))


def test_data_of_another_source_than_stated_are_refused(given: Path):
    from components.ingestion.data_generator import check_source
    from data.examples.manifest import Manifest

    manifest = Manifest.load(given)
    check_source(manifest, "")
    check_source(manifest, manifest.source_digest)
    with pytest.raises(InputError, match=f"has the digest {manifest.source_digest}, and kubeflow.data_digest states 0"):
        check_source(manifest, "0" * 64)
