"""The whole pipeline on real ratings."""

from __future__ import annotations

from pathlib import Path

import pytest

QUICK = """
name: quick
data:
  release: ml-latest-small
model:
  embedding_dim: 32
  dropout: 0.1
training:
  epochs: 3
  batch_size: 256
  learning_rate: 0.01
"""


@pytest.mark.slow
def test_a_model_of_ml_latest_small_clears_the_gate_and_is_published(tmp_path: Path, ml_latest_small_folder: Path):
    # TFX takes its time to load, and a skipped test should not wait for it.
    from forked_runs import check_in_a_fork

    from pipeline.local import run_locally

    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)
    with check_in_a_fork():
        assert run_locally(config=str(config), source=ml_latest_small_folder, work_dir=tmp_path / "runs")
    versions = tmp_path / "runs/serving/next-movie-quick-ml-latest-small"
    assert [version.name for version in versions.iterdir()] == ["1"]
    assert (versions / "1/saved_model.pb").is_file()
