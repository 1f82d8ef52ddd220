"""The model gate: the real Evaluator and Pusher on models that are worse, better or broken."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from small_graphs import imported, imported_examples, run_graph
from tfx import v1 as tfx
from tfx.dsl.components.base import executor_spec

from components.gate_settings import ModelGateSettings
from components.publishing import pusher
from pipeline.eval_config import EXTRACTORS_MODULE, evaluation_config
from pipeline.runs.record import RunRecord
from serving.versions import published_versions

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


def slightly_blurred(candidates: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=candidates.shape).astype(np.float32)
    return candidates + 0.05 * candidates.std() * noise


def not_a_number(candidates: np.ndarray) -> np.ndarray:
    return np.full_like(candidates, np.nan)


@pytest.fixture(scope="module")
def original(sample_run) -> Path:
    return sample_run.artifact("Trainer", "model")


@pytest.fixture(scope="module")
def worse(original, tmp_path_factory) -> Path:
    """Make a model that lost a little, and still is far above popularity."""
    return altered(original, tmp_path_factory.mktemp("worse") / "model", blurred)


def judge(
    sample_run, model: Path, folder: Path, baseline: Path | None = None, gate: ModelGateSettings | None = None
) -> RunRecord:
    """Run Evaluator and Pusher."""
    gate = gate or ModelGateSettings()
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
        eval_config=evaluation_config(gate, code_digest=""),
        # As the pipeline ships it.
        module_path=EXTRACTORS_MODULE,
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


@pytest.fixture(scope="module")
def models(original, worse, tmp_path_factory) -> dict[str, Path]:
    """Return the models that are held against each other, by name."""
    shuffled_model = altered(original, tmp_path_factory.mktemp("shuffled") / "model", shuffled)
    return {"original": original, "blurred": worse, "shuffled": shuffled_model}


class Judged(NamedTuple):
    record: RunRecord
    versions: list[int]


@pytest.fixture(scope="module")
def judged(sample_run, models, tmp_path_factory) -> Callable[..., Judged]:
    """Judge a model against another one, each pair once; and say which versions are published then."""

    @functools.cache
    def judge_once(candidate: str, baseline: str | None = None) -> Judged:
        folder = tmp_path_factory.mktemp("judged")
        record = judge(sample_run, models[candidate], folder, models[baseline] if baseline else None)
        return Judged(record, published_versions(folder / "serving"))

    return judge_once


def test_a_model_with_shuffled_embeddings_is_refused_and_not_published(judged):
    record, versions = judged("shuffled")
    assert record.evaluation_result.evaluation.candidate["recall_at_10_lift"] < 1.5
    assert not record.evaluation_result.blessed
    assert "misses the required 1.5 times" in record.evaluation_result.reasons[0]
    assert record.published is None
    assert versions == []


def test_a_model_that_answers_no_numbers_hits_nothing_and_is_refused(sample_run, original, tmp_path):
    record = judge(sample_run, altered(original, tmp_path / "model", not_a_number), tmp_path)
    assert record.evaluation_result.evaluation.candidate["recall_at_100"] == 0
    assert not record.evaluation_result.blessed
    assert published_versions(tmp_path / "serving") == []


def test_one_that_is_worse_than_the_last_blessed_is_refused(judged):
    record, versions = judged("blurred", "original")
    evaluation_result = record.evaluation_result
    assert evaluation_result.evaluation.candidate["recall_at_10_lift"] > 1.5, (
        "it has to fail against the baseline alone"
    )
    assert (
        evaluation_result.evaluation.candidate["recall_at_10"]
        < evaluation_result.evaluation.baseline["recall_at_10"] - 0.005
    )
    assert not evaluation_result.blessed
    assert "beyond the allowed drop of 0.005, and beyond chance" in evaluation_result.reasons[1]
    assert versions == []


def test_the_difference_is_measured_query_by_query(sample_run, original, worse, judged):
    """Both models are asked again about each eval example, and their hits are subtracted in a plain loop."""
    difference = judged("blurred", "original").record.evaluation_result.evaluation.difference
    files = sorted(str(path) for path in (sample_run.artifact("ExampleGen", "examples") / "Split-eval").iterdir())
    examples = tf.constant(list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()))
    hits = []
    for model in (worse, original):
        loaded = tf.saved_model.load(str(model / "Format-Serving"))
        hits.append(loaded.signatures["evaluate"](examples=examples)["rank"].numpy() <= 10)
    gained = [int(mine) - int(theirs) for mine, theirs in zip(*hits, strict=True)]
    assert difference.queries == len(gained)
    # A few near ties may fall otherwise in batches of another size.
    assert difference.mean == pytest.approx(sum(gained) / len(gained), abs=2.5 / len(gained))
    spread = 1.96 * np.std(gained) / len(gained) ** 0.5
    assert difference.high - difference.low == pytest.approx(2 * spread, rel=0.05)


def test_chance_alone_refuses_no_model(sample_run, original, tmp_path):
    """A model that lost a little, beyond the allowed drop, on so few queries that the interval holds zero."""
    candidate, baseline = altered(original, tmp_path / "barely", slightly_blurred), original
    strict = ModelGateSettings(max_recall_at_10_drop=0.0)
    evaluation_result = judge(sample_run, candidate, tmp_path / "one", baseline, strict).evaluation_result
    if evaluation_result.evaluation.difference.mean > 0:
        # Which of the two is better by chance depends on the processor that trained the original.
        candidate, baseline = baseline, candidate
        evaluation_result = judge(sample_run, candidate, tmp_path / "turned", baseline, strict).evaluation_result
    difference = evaluation_result.evaluation.difference
    assert difference.mean < 0 < difference.high, "the case has to be one of chance"
    assert evaluation_result.blessed
    assert "but within chance" in evaluation_result.reasons[1]
    proof = ModelGateSettings(max_recall_at_10_drop=0.0, non_inferior=True)
    evaluation_result = judge(sample_run, candidate, tmp_path / "other", baseline, proof).evaluation_result
    assert not evaluation_result.blessed
    assert "the interval's lower end is not above the allowed drop of 0" in evaluation_result.reasons[1]


@pytest.mark.parametrize(
    ("floors", "blessed", "reason"),
    [
        ({"label_popularity": {"middle": 0.05}}, True, "for label popularity middle is 0.\\d+, which meets"),
        ({"label_popularity": {"middle": 0.99}}, False, "for label popularity middle is 0.\\d+, which misses"),
        ({"context_length": {"11": 0.0}}, False, "no query has context length 11"),
    ],
)
def test_a_floor_of_a_slice_decides(sample_run, original, tmp_path, floors, blessed, reason):
    gate = ModelGateSettings(min_recall_at_10_of_slices=floors)
    evaluation_result = judge(sample_run, original, tmp_path, gate=gate).evaluation_result
    assert evaluation_result.blessed == blessed
    assert re.search(reason, evaluation_result.reasons[1])


@pytest.mark.parametrize("change", ["shuffled", "blurred"])
def test_the_decision_in_words_is_the_evaluators_own(judged, change):
    for baseline in (None, "original", "blurred"):
        evaluation_result = judged(change, baseline).record.evaluation_result
        assert evaluation_result.blessed == all(check.met for check in evaluation_result.checks)


def test_a_better_one_goes_through_and_is_published_once(sample_run, original, worse, tmp_path):
    record = judge(sample_run, original, tmp_path, baseline=worse)
    assert record.evaluation_result.blessed
    assert "within the allowed drop" in record.evaluation_result.reasons[1]
    assert record.published == tmp_path / "serving" / "1"
    again = judge(sample_run, original, tmp_path, baseline=original)
    assert again.evaluation_result.blessed
    assert again.published == tmp_path / "serving" / "1"
    assert published_versions(tmp_path / "serving") == [1]
