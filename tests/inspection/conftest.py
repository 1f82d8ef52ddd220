"""Folders of shards to look at: the sample as it is, and one of another habit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data.generate import generate
from data.options import GenerateOptions
from pipeline.inspection.statistics_store import StatisticsSet, open_source


@pytest.fixture(scope="session")
def sample_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate the sample release's shards."""
    folder = tmp_path_factory.mktemp("shards") / "sample"
    generate(GenerateOptions(release="sample"), folder)
    return folder


@pytest.fixture(scope="session")
def liked_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate shards of the sample's ratings with four stars and more only."""
    folder = tmp_path_factory.mktemp("shards") / "liked"
    generate(GenerateOptions(release="sample", min_rating=4.0), folder)
    return folder


@pytest.fixture(scope="session")
def sample_source(sample_shards: Path) -> Iterator[StatisticsSet]:
    """Count the sample's shards, once for all tests."""
    with open_source(str(sample_shards), sample_shards) as source:
        yield source
