"""The model gate: the real Evaluator and Pusher on models that are worse, better or broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_graphs import imported, imported_examples, run_graph
from tfx import v1 as tfx
from tfx.dsl.components.base import executor_spec

from components import pusher
from components.gate_settings import ModelGateSettings
from components.publishing import published_versions
from pipeline.judging import evaluation_config
from pipeline.run_record import RunRecord

pytestmark = pytest.mark.slow
artifacts = tfx.types.standard_artifacts


def altered(original: Path, target: Path, change) -> Path:
    """Write a Model artifact whose candidates were changed, and return its folder."""
    shutil.copytree(original, target)
    # The variables lie in a checkpoint: all but one are written back as they are.
    prefix = str(target / "Format-Serving" / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    names = sorted(reader.get_variable_to_shape_map())
    tensors = [
        change(reader.get_tensor(name)) if name.startswith("_candidates/") else reader.get_tensor(name)
        for name in names
    ]
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
    return target


def shuffled(candidates: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(candidates)


def blurred(candidates: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=candidates.shape).astype(np.float32)
    return candidates + 0.5 * candidates.std() * noise


def not_a_number(candidates: np.ndarray) -> np.ndarray:
    return np.full_like(candidates, np.nan)


@pytest.fixture(scope="module")
def original(sample_run) -> Path:
    return sample_run.artifact("Trainer", "model")


@pytest.fixture(scope="module")
def worse(original, tmp_path_factory) -> Path:
    """Make a model that lost a little, and still is far above popularity."""
    return altered(original, tmp_path_factory.mktemp("worse") / "model", blurred)


def judge(sample_run, model: Path, folder: Path, baseline: Path | None = None) -> RunRecord:
    """Run Evaluator and Pusher."""
    gate = ModelGateSettings()
    examples = imported_examples(sample_run.artifact("ExampleGen", "examples"))
    schema = imported("Schema", artifacts.Schema, sample_run.artifact("SchemaImporter", "schema"))
    candidate = imported("Candidate", artifacts.Model, model)
    nodes = [examples, schema, candidate]
    if baseline is not None:
        nodes.append(imported("Baseline", artifacts.Model, baseline))
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["result"],
        example_splits=["eval"],
        model=candidate.outputs["result"],
        baseline_model=nodes[-1].outputs["result"] if baseline is not None else None,
        schema=schema.outputs["result"],
        eval_config=evaluation_config(gate, source_digest=""),
    )
    push = tfx.components.Pusher(
        model=candidate.outputs["result"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(folder / "serving"))
        ),
        custom_config={"keep_versions": 5, "publication": {}},
        custom_executor_spec=executor_spec.ExecutorClassSpec(pusher.Executor),
    )
    return run_graph([*nodes, evaluator, push], folder, gate)


def test_a_model_with_shuffled_embeddings_is_refused_and_not_published(sample_run, original, tmp_path):
    record = judge(sample_run, altered(original, tmp_path / "model", shuffled), tmp_path)
    assert record.judgement.evaluation.candidate["recall_at_10_lift"] < 1.5
    assert not record.judgement.blessed
    assert "misses the required 1.5 times" in record.judgement.reasons[0]
    assert record.published is None
    assert published_versions(tmp_path / "serving") == []


def test_a_model_that_answers_no_numbers_hits_nothing_and_is_refused(sample_run, original, tmp_path):
    record = judge(sample_run, altered(original, tmp_path / "model", not_a_number), tmp_path)
    assert record.judgement.evaluation.candidate["recall_at_100"] == 0
    assert not record.judgement.blessed
    assert published_versions(tmp_path / "serving") == []


def test_one_that_is_worse_than_the_last_blessed_is_refused(sample_run, original, worse, tmp_path):
    record = judge(sample_run, worse, tmp_path, baseline=original)
    judgement = record.judgement
    assert judgement.evaluation.candidate["recall_at_10_lift"] > 1.5, "it has to fail against the baseline alone"
    assert judgement.evaluation.candidate["recall_at_10"] < judgement.evaluation.baseline["recall_at_10"] - 0.005
    assert not judgement.blessed
    assert "beyond the allowed drop" in judgement.reasons[1]
    assert published_versions(tmp_path / "serving") == []


def test_a_better_one_goes_through_and_is_published_once(sample_run, original, worse, tmp_path):
    record = judge(sample_run, original, tmp_path, baseline=worse)
    assert record.judgement.blessed
    assert "within the allowed drop" in record.judgement.reasons[1]
    assert record.published == tmp_path / "serving" / "1"
    again = judge(sample_run, original, tmp_path, baseline=original)
    assert again.judgement.blessed
    assert again.published == tmp_path / "serving" / "1"
    assert published_versions(tmp_path / "serving") == [1]
