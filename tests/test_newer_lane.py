"""Models and work directories of TFX 1.21 in the hands of TFX 1.16, where the build server has made some.

`.ci/run` tests the newer lane in a Debian tree and keeps what a run of the sample left there for these tests, with the
pipeline compiled for Kubeflow and for Vertex beside it; `NEXT_MOVIE_NEWER_LANE` names that work directory.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from lanes import installed_lane

MADE_THERE = os.environ.get("NEXT_MOVIE_NEWER_LANE")


@pytest.fixture(scope="module")
def newer_run() -> Path:
    """Give the work directory, or a skip with the reason."""
    if installed_lane() == "1.21":
        pytest.skip("this is the newer lane")
    if not MADE_THERE:
        pytest.skip("TFX 1.21 was not tested before: `make test-lane LANE=1.21` does, and says what it lacks")
    return Path(MADE_THERE)


@pytest.fixture(scope="module")
def newer_model(newer_run) -> Path:
    (model,) = newer_run.glob("serving/*/1")
    return model


@pytest.mark.slow
def test_a_model_of_the_newer_lane_passes_the_servable_check_of_this_one(newer_model):
    from components.gate_settings import ServableCheckSettings
    from components.serving_check.servable_check import check_model

    checked = check_model(str(newer_model), ServableCheckSettings())
    assert checked.findings == []


@pytest.mark.slow
def test_a_model_of_the_newer_lane_recommends_here_nearly_what_this_lanes_own_does(newer_model, sample_run):
    from serving.recommender import Recommender

    theirs, ours = Recommender.load(newer_model), Recommender.load(sample_run.model)
    for history in ([8, 2, 35], [2], []):
        found, wanted = ({one.title for one in each.recommend(history, k=10)} for each in (theirs, ours))
        assert len(found & wanted) >= 8


@pytest.mark.slow
def test_a_work_directory_of_the_newer_lane_is_gone_on_with_here(newer_run, tmp_path):
    from shared_run import run_sample

    shutil.copytree(newer_run, tmp_path / "runs", symlinks=True)
    run = run_sample(tmp_path / "runs")
    assert run.model.name == "2"
    assert run.record.evaluation_result.evaluation.baseline is not None, "the other lane's model was compared with"


@pytest.mark.slow
@pytest.mark.parametrize("format", ["kfp.yaml", "vertex.json"])
def test_the_pipeline_is_compiled_there_to_what_it_is_here_but_for_stamps_of_versions(newer_run, tmp_path, format):
    import kubeflow_runner

    backend = format.partition(".")[0]
    here = tmp_path / format
    given = ["compile", "--config", "sample", "--image", "next-movie:1", "--pipeline-root", "gs://bucket/root"]
    assert kubeflow_runner.main([*given, "--backend", backend, "--output", str(here)]) == 0
    assert unstamped(newer_run / format) == unstamped(here)


def unstamped(file: Path) -> list[Any]:
    """Return a compiled pipeline's documents without what names a version of Kubeflow's, TFX's or Python's."""
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    stamps = 0
    for document in documents:
        for place, key in ((document, "sdkVersion"), (document.get("pipelineSpec", {}), "sdkVersion")):
            stamps += place.pop(key, None) is not None
        for key in ("tfx_version", "tfx_py_version"):
            stamps += document.get("labels", {}).pop(key, None) is not None
    assert stamps
    return documents
