"""The steps that need no local disk, with all artifacts in a place that pathlib knows nothing of."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import ram_files
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tfx import v1 as tfx
from tfx.orchestration.pipeline import RunOptions

from components.audit.figures import AUDIT_FILE, AuditResult
from components.serving_check import check_export
from data.examples.manifest import Manifest
from data.generate import generate
from pipeline.local import choose_settings, lay_out
from pipeline.pipeline import create_pipeline
from serving.export_record import read_record
from serving.recommender import Recommender

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class RemoteRun:
    """A run as far as the audit, on the sample."""

    root: str
    manifest: Manifest

    def artifact(self, node: str, output: str) -> str:
        """Return the URI of the only output that there is."""
        (uri,) = tf.io.gfile.glob(f"{self.root}/{node}/{output}/*")
        return uri


@pytest.fixture(scope="module")
def remote_run(tmp_path_factory) -> RemoteRun:
    home = tmp_path_factory.mktemp("remote")
    settings = choose_settings("sample", None, None, None)
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": 1})})
    manifest = generate(settings.data, home / "data", progress=lambda _: None)
    run_paths = lay_out(settings, manifest, home / "data", home)
    root = f"ram://{home.name}/artifacts"
    graph = create_pipeline(settings, replace(run_paths, pipeline_root=root))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.io.gfile, "rename", ram_files.rename)
        tfx.orchestration.LocalDagRunner().run(graph, run_options=RunOptions(to_nodes=["Audit"]))
    return RemoteRun(root, manifest)


def test_the_audit_reads_examples_and_model_and_leaves_its_record(remote_run):
    with tf.io.gfile.GFile(f"{remote_run.artifact('Audit', 'record')}/{AUDIT_FILE}") as file:
        audit = AuditResult.model_validate_json(file.read())
    assert audit.data.eval.examples == remote_run.manifest.counts.eval
    assert audit.behaviour.queries == 2_000


def test_both_kinds_of_statistics_are_counted(remote_run):
    for output in ("statistics", "unpadded"):
        file = f"{remote_run.artifact('StatisticsGen', output)}/Split-train/FeatureStats.pb"
        assert tfdv.load_stats_binary(file).datasets[0].num_examples == remote_run.manifest.counts.train


def test_a_model_is_trained_and_its_curves_are_written_beside_its_logs(remote_run):
    with tf.io.gfile.GFile(f"{remote_run.artifact('Trainer', 'model_run')}/history.json") as file:
        curves = json.loads(file.read())
    assert [len(values) for values in curves.values()] == [1] * len(curves)
    assert np.isfinite(curves["loss"]).all()


def test_the_model_is_loaded_and_asked_where_it_lies(remote_run):
    folder = f"{remote_run.artifact('Trainer', 'model')}/Format-Serving"
    recommender = Recommender.load(folder)
    assert len(recommender.catalogue) == remote_run.manifest.counts.movies
    assert len(recommender.recommend(recommender.catalogue.ids[:3].tolist(), k=10)) == 10
    assert read_record(folder).ranks_any_length


def test_the_model_is_checked_where_it_lies(remote_run):
    folder = f"{remote_run.artifact('Trainer', 'model')}/Format-Serving"
    assert check_export.main(folder, 10_000)["findings"] == []
