"""Generation on Prism, Beam's own runner in Go: an engine that takes standard coders only."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from beam_servers import built, engines

from data.generate import generate
from data.options import GenerateOptions

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.fixture(scope="module", params=["prism", "later-prism"])
def prism(request: pytest.FixtureRequest) -> list[str]:
    """Return Beam's options for the engine."""
    return ["--runner=PrismRunner", f"--prism_location={built(request.param)}"]


def test_the_engine_is_of_the_version_of_beam():
    assert engines.ENGINES["prism"].version == f"v{version('apache-beam')}"


@pytest.mark.parametrize("split", ["random", "leave_one_out", "temporal"])
@pytest.mark.parametrize("blocks", [1, 5])
def test_prism_gives_the_same_bytes(
    prism: list[str], small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, blocks: int
):
    size = (small_release / "ratings.csv").stat().st_size
    monkeypatch.setattr("data.timelines.user_blocks.BYTES_PER_BLOCK", size // blocks + 1)
    options = GenerateOptions(release="ml-latest-small", split=split, shards=3)

    here = generate(options, tmp_path / "here", source=small_release)
    there = generate(options, tmp_path / "there", source=small_release, beam_args=prism)

    assert there == here
    assert {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()
    }
