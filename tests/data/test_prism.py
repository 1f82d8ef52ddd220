"""Generation on Prism, Beam's own runner in Go: an engine that takes standard coders only."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from beam_servers import built, engines
from forks import wait_or_kill, zygote

from data.generate import generate
from data.options import GenerateOptions
from data.timelines import user_blocks

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.fixture(scope="module", params=["prism", "later-prism"])
def prism(request: pytest.FixtureRequest) -> list[str]:
    """Return Beam's options for the engine."""
    return ["--runner=PrismRunner", f"--prism_location={built(request.param)}"]


def generate_in_blocks(options: GenerateOptions, output: Path, source: Path, beam_args: list[str], size: int) -> None:
    """Generate with blocks of so many bytes."""
    user_blocks.BYTES_PER_BLOCK = size
    generate(options, output, source=source, beam_args=beam_args)


def test_the_engine_is_of_the_version_of_beam():
    assert engines.ENGINES["prism"].version == f"v{version('apache-beam')}"


@pytest.mark.parametrize("split", ["random", "leave_one_out", "temporal"])
@pytest.mark.parametrize("blocks", [1, 5])
def test_prism_gives_the_same_bytes(
    prism: list[str], small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, blocks: int
):
    size = (small_release / "ratings.csv").stat().st_size // blocks + 1
    monkeypatch.setattr(user_blocks, "BYTES_PER_BLOCK", size)
    options = GenerateOptions(release="ml-latest-small", split=split, shards=3)

    generate(options, tmp_path / "here", source=small_release)
    # Beam stops the server that it started, and the threads of its jobs, when the process ends.
    there = zygote().start(generate_in_blocks, options, tmp_path / "there", small_release, prism, size)

    assert wait_or_kill(there, 300) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()
    }
