"""What of a submission the backend's cache answers, by the backend's own key, without doing the work."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from executor import Artifact, ConformingExecutor, RunResult
from google.protobuf.struct_pb2 import Struct
from object_store import ObjectStore

from pipeline.kubeflow.backend_rules import read_documents
from pipeline.settings import load_settings, with_values

pytestmark = pytest.mark.slow

Documents = list[dict[str, Any]]

OF_THE_MODEL = {"ServableCheck", "Audit"}
CACHED = {"DataGenerator", "ExampleGen", "StatisticsGen", "ExampleValidator", "Transform", "Trainer", *OF_THE_MODEL}
"""Tasks that read nothing but what the key holds."""

_IDS = itertools.count(1)


class IdleExecutor(ConformingExecutor):
    """Has each task put out artifacts with new ids, as a metadata store gives them, and runs no command."""

    def _launch(self, name, attempt, component, container, inputs, result) -> dict[str, Artifact]:
        return {key: Artifact(str(next(_IDS)), "", Struct()) for key in component.output_definitions.artifacts}


def compiled(**values: Any) -> Documents:
    # TFX takes its time to load.
    from pipeline.kubeflow.compiling import compile_pipeline

    settings = with_values(load_settings("sample"), values)
    return read_documents(compile_pipeline(settings, image="registry.example/next-movie:1"))


@pytest.fixture(scope="module")
def plain() -> Documents:
    return compiled()


@pytest.fixture
def submit(tmp_path: Path):
    """Return a function that submits a compiled file; all submissions share one cache."""
    cache: dict[str, dict[str, Artifact]] = {}

    def submit(documents: Documents) -> RunResult:
        spec, platform = documents
        request = {
            "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
            "runtime_config": {"pipeline_root": "minio://mlpipeline/root"},
        }
        store = ObjectStore(tmp_path / "store")
        result = IdleExecutor(request, store, {"next-movie": tmp_path}, tmp_path / "work", cache=cache).run()
        assert result.state == "SUCCEEDED", result.logs
        return result

    return submit


def with_code(documents: Documents, name: str) -> Documents:
    """Return a compiled file in which the code of one task is another."""
    changed = copy.deepcopy(documents)
    parameters = changed[0]["root"]["dag"]["tasks"][name]["inputs"]["parameters"]
    if "code_digest" in parameters:
        parameters["code_digest"]["runtimeValue"]["constant"] = "0" * 64
    else:
        # The Trainer has a place for what is not TFX's.
        constant = parameters["custom_config"]["runtimeValue"]
        custom = json.loads(constant["constant"])
        assert "code_digest" in custom
        constant["constant"] = json.dumps({**custom, "code_digest": "0" * 64})
    assert changed != documents
    return changed


def test_an_unchanged_file_hits_where_nothing_but_the_key_is_read(plain: Documents, submit):
    assert set(submit(plain).cached) == set()
    assert set(submit(plain).cached) == CACHED
    assert set(submit(plain).cached) == CACHED


def test_another_option_of_the_data_misses_from_generation_on(plain: Documents, submit):
    submit(plain)
    assert set(submit(compiled(**{"data.seed": 7})).cached) == set()
    assert set(submit(plain).cached) == CACHED


def test_another_option_of_training_misses_from_the_trainer_on(plain: Documents, submit):
    submit(plain)
    assert set(submit(compiled(**{"training.epochs": 1})).cached) == CACHED - {"Trainer", *OF_THE_MODEL}


def test_another_source_misses_from_generation_on(submit):
    there = {"kubeflow.data_root": "minio://mlpipeline/data"}
    submit(compiled(**there, **{"kubeflow.data_digest": "0" * 64}))
    assert set(submit(compiled(**there, **{"kubeflow.data_digest": "0" * 64})).cached) == CACHED
    assert set(submit(compiled(**there, **{"kubeflow.data_digest": "1" * 64})).cached) == set()


@pytest.mark.parametrize(
    ("name", "hits"),
    [
        ("DataGenerator", set()),
        ("Transform", {"DataGenerator", "ExampleGen", "StatisticsGen", "ExampleValidator"}),
        ("Trainer", CACHED - {"Trainer", *OF_THE_MODEL}),
        ("ServableCheck", CACHED - {"ServableCheck"}),
        ("Audit", CACHED - {"Audit"}),
    ],
)
def test_other_code_of_a_task_misses_from_it_on_though_the_image_has_its_old_name(
    plain: Documents, submit, name: str, hits: set[str]
):
    submit(plain)
    assert set(submit(with_code(plain, name)).cached) == hits
