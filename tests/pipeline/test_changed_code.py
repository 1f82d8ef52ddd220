"""An edited model, in a copy of the project that is started from somewhere else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.versions import published_versions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ("data", "serving", "trainer_module", "components", "pipeline", "configs", "local_runner.py")


def copy_project(target: Path) -> None:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target / part)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def outcome(sample_run, tmp_path_factory):
    """Run an edited copy, whose query tower is blind to the history, in the work directory of the first run."""
    copy = tmp_path_factory.mktemp("copy")
    copy_project(copy)
    blind = "        state = tf.zeros_like(state)\n        if not self._settings.item_bias:\n"
    edit(copy / "trainer_module" / "model.py", "        if not self._settings.item_bias:\n", blind)
    command = [sys.executable, str(copy / "local_runner.py"), "--release", "sample", "--work-dir", sample_run.work_dir]
    # As a user's shell would have it: nothing that the tests set for themselves.
    quiet = {"TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "PYTHONWARNINGS", "CUDA_VISIBLE_DEVICES"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    with sample_run.put_back():
        done = subprocess.run(
            command,
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        yield done, published_versions(Path(sample_run.paths.serving))


def state(output: str, step: str) -> str:
    """Return what the progress says of a step: its seconds, or `cached`."""
    return re.search(rf"^  {step} +(\S.*)$", output, re.MULTILINE)[1]


def test_the_edited_model_is_trained_anew_and_what_comes_before_stays_cached(outcome):
    done, _ = outcome
    for step in ("ExampleGen", "StatisticsGen", "DataGate", "Transform"):
        assert state(done.stdout, step) == "cached", done.stdout + done.stderr
    assert re.fullmatch(r"\d+\.\d s", state(done.stdout, "Trainer"))
    assert re.fullmatch(r"\d+\.\d s", state(done.stdout, "Evaluator"))


def test_a_model_that_learned_nothing_is_refused_with_exit_code_3_and_the_reasons(outcome):
    done, _ = outcome
    assert done.returncode == 3
    assert "\n  NOT blessed\n" in done.stdout
    assert "misses the required 1.5 times" in done.stdout
    assert "beyond the allowed drop of 0.005" in done.stdout
    assert "not published; what was served before still is" in done.stdout


def test_what_was_served_before_still_is(outcome):
    _, versions = outcome
    assert versions == [1]


def test_a_run_is_quiet(outcome):
    done, _ = outcome
    assert done.stderr == ""
    assert "WARNING" not in done.stdout
