"""One real run of the sample release, which many tests look at."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forked_runs import check_in_a_fork

from data.examples.manifest import Manifest
from pipeline.local import choose_settings, lay_out, run_locally
from pipeline.runs.record import RunRecord, read_run_record
from pipeline.settings import RunPaths, Settings

OF_ANY_QUALITY = ("training.epochs=1", "model_gate.min_recall_at_10_lift=0", "model_gate.max_recall_at_10_drop=1")
"""Settings of a run of which only the way it takes is looked at: a model is trained briefly, and published as it is."""


@dataclass(frozen=True)
class SampleRun:
    """A finished first run.

    Attributes
    ----------
    work_dir
        What `--work-dir` named.
    settings, paths
        Of the run.
    record
        What ML Metadata knew when it was over.
    model
        The published version's folder.
    output
        What it said on standard output.
    """

    work_dir: Path
    settings: Settings
    paths: RunPaths
    record: RunRecord
    model: Path
    output: str

    def artifact(self, node: str, output: str) -> Path:
        """Return the folder of an output."""
        return self.record.outputs[node, output].uri

    def run_again(self, **changes: object) -> tuple[RunRecord, str]:
        """Run in the same work directory; return the new run's record and what it said."""
        with check_in_a_fork():
            output = _run_quietly(self.work_dir, **{"release": "sample", **changes})
        return read_run_record(self.paths.metadata, self.settings.model_gate), output

    @contextlib.contextmanager
    def put_back(self) -> Iterator[None]:
        """Restore the work directory afterwards, whatever was done to it."""
        kept = self.work_dir.with_name(f"{self.work_dir.name}-kept")
        shutil.copytree(self.work_dir, kept)
        try:
            yield
        finally:
            shutil.rmtree(self.work_dir)
            kept.rename(self.work_dir)


def run_sample(work_dir: Path) -> SampleRun:
    """Run the pipeline on the sample release, from nothing to the published model."""
    output = _run_quietly(work_dir, release="sample")
    settings = choose_settings(None, "sample", None, None)
    data_root = work_dir / "data" / settings.pipeline_name
    paths = lay_out(settings, Manifest.load(data_root), data_root, work_dir)
    record = read_run_record(paths.metadata, settings.model_gate)
    assert record.published is not None, output
    return SampleRun(work_dir, settings, paths, record, record.published, output)


def _run_quietly(work_dir: Path, **arguments: object) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        run_locally(work_dir=work_dir, **arguments)
    return said.getvalue()
