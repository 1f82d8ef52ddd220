"""Work directories of an earlier version are gone on with: its code, from the repository's history, runs first."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from forked_runs import check_in_a_fork
from lanes import installed_lane

from components.gate_settings import ModelGateSettings
from pipeline.local import run_locally
from pipeline.runs.history import read_history
from pipeline.runs.record import RunRecord, read_run_record
from serving.versions import published_versions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

EARLIER = "ee2780e"
"""The last commit of the layout in which a pipeline's name was that of its serving folder too."""

CONFIGURATION = {
    "name": "default",
    "data": {"release": "sample"},
    "model": {"embedding_dim": 16},
    "training": {"epochs": 2, "batch_size": 256},
    "model_gate": {"min_recall_at_10_lift": 0},
}


def earlier_code(folder: Path) -> Path:
    """Unpack the repository as it was, or skip where its history is not at hand, or nothing it ran on."""
    if installed_lane() != "1.16":
        pytest.skip(f"the code of {EARLIER} runs on TFX 1.16 alone")
    archive = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"the repository's history down to {EARLIER} is not here")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@dataclass(frozen=True)
class Upgrade:
    """A work directory that the earlier code made and today's went on with."""

    work_dir: Path
    record: RunRecord
    output: str

    @property
    def metadata(self) -> str:
        return str(self.work_dir / "pipelines" / "next-movie-default-sample-random" / "metadata.sqlite")

    @property
    def former(self) -> Path:
        return self.work_dir / "serving" / "next-movie-default-sample-random"

    @property
    def serving(self) -> Path:
        return self.work_dir / "serving" / "next-movie-default-sample"


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory) -> Upgrade:
    folder = tmp_path_factory.mktemp("upgrade")
    code, work_dir, config = earlier_code(folder / "code"), folder / "runs", folder / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIGURATION))
    command = [sys.executable, "local_runner.py", f"--config={config}", f"--work-dir={work_dir}"]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    earlier = subprocess.run(command, cwd=code, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert earlier.returncode == 0, earlier.stdout + earlier.stderr
    said = io.StringIO()
    with contextlib.redirect_stdout(said), check_in_a_fork():
        run_locally(config=str(config), work_dir=work_dir)
    (metadata,) = (work_dir / "pipelines").glob("*/metadata.sqlite")
    return Upgrade(work_dir, read_run_record(str(metadata), ModelGateSettings()), said.getvalue())


def test_the_model_of_the_earlier_code_is_the_baseline(upgrade):
    evaluation = upgrade.record.evaluation_result.evaluation
    assert evaluation.baseline is not None
    assert evaluation.difference.queries == evaluation.candidate["num_queries"]
    assert "from the last blessed model's on the same" in upgrade.output


def test_the_statistics_of_the_earlier_code_are_compared_with(upgrade):
    assert upgrade.record.data_verdict["compared_with_previous"]


def test_readers_of_the_former_serving_folder_go_on_being_served(upgrade):
    assert f"going on with the versions in {upgrade.former}" in upgrade.output
    versions = published_versions(upgrade.former)
    assert versions[0] == 1
    assert published_versions(upgrade.serving) == versions
    assert upgrade.record.evaluation_result.blessed == (versions == [1, 2])
    if upgrade.record.evaluation_result.blessed:
        assert upgrade.record.published == upgrade.serving / "2"


def test_the_history_goes_on(upgrade):
    assert len(read_history(upgrade.record)) == 2
    page = (Path(upgrade.metadata).parent / "report.html").read_text()
    assert "recall@10 by run" in page
