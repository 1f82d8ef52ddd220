"""What a first run leaves: artifacts and their lineage, metrics, the published model, and what it said."""

from __future__ import annotations

import html
import json
import math
import re
import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import tensorflow as tf

import recommend
from components.evaluation.rank_sums import CUTOFFS
from components.naming import STEPS
from components.report.metrics import metric_rows
from data.examples.manifest import Manifest
from pipeline.runs.record import open_store, read_run_record

pytestmark = pytest.mark.slow

RANKS = {
    "rank": "",
    "rank_unfiltered": "_unfiltered",
    "rank_popularity": "_popularity",
    "rank_recent_popularity": "_recent_popularity",
}
SHOWN = ("recall_at_10", "recall_at_10_unfiltered", "recall_at_10_popularity", "ndcg_at_10", "mrr")


@dataclass(frozen=True)
class Window:
    serialised: bytes
    context: list[int]
    label: int
    length: int
    popularity: str


def read_windows(split: Path) -> list[Window]:
    files = sorted(str(path) for path in split.iterdir())
    windows = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        windows.append(
            Window(
                serialised=record,
                context=[movie for movie in features["context_movie_id"].int64_list.value if movie],
                label=features["label_movie_id"].int64_list.value[0],
                length=features["context_length"].int64_list.value[0],
                popularity=features["label_popularity"].bytes_list.value[0].decode(),
            )
        )
    return windows


@pytest.fixture(scope="module")
def train(sample_run) -> list[Window]:
    return read_windows(sample_run.artifact("ExampleGen", "examples") / "Split-train")


@pytest.fixture(scope="module")
def held_out(sample_run) -> list[Window]:
    return read_windows(sample_run.artifact("ExampleGen", "examples") / "Split-eval")


@pytest.fixture(scope="module")
def ranks(sample_run, held_out) -> dict[str, np.ndarray]:
    """Ask the published model about each eval example."""
    model = tf.saved_model.load(str(sample_run.model))
    asked = model.signatures["evaluate"](examples=tf.constant([window.serialised for window in held_out]))
    return {name: value.numpy() for name, value in asked.items()}


def count_metrics(ranks: dict[str, np.ndarray], rows: list[int]) -> dict[str, float]:
    """Compute the metrics query by query."""
    found = defaultdict(float)
    movies = set()
    for row in rows:
        for output, suffix in RANKS.items():
            for k in CUTOFFS:
                found[f"recall_at_{k}{suffix}"] += (ranks[output][row] <= k) / len(rows)
        rank = int(ranks["rank"][row])
        found["mrr"] += 1 / rank / len(rows)
        found["ndcg_at_10"] += (1 / np.log2(rank + 1) if rank <= 10 else 0) / len(rows)
        movies |= set(ranks["top_movie_id"][row].tolist())
    found["coverage_at_10"] = len(movies) / ranks["catalogue_size"][0]
    floor = max(found["recall_at_10_popularity"], found["recall_at_10_recent_popularity"], 1 / len(rows))
    found["recall_at_10_lift"] = found["recall_at_10"] / floor
    tops = [ranks["top_label_count"][row].tolist() for row in rows]
    labels = [int(ranks["label_count"][row]) for row in rows]
    bits = [-math.log2(max(count, 1) / ranks["num_train_labels"][0]) for top in tops for count in top]
    found["novelty_at_10"] = fmean(bits)
    found["popularity_bias_at_10"] = fmean(count for top in tops for count in top) / fmean(labels)
    found["num_queries"] = len(rows)
    found["num_candidates"] = ranks["catalogue_size"][0]
    return dict(found)


def test_every_step_ran_and_said_so(sample_run):
    assert {step.state for step in sample_run.record.steps} == {"done"}
    assert {step.name for step in sample_run.record.steps} == set(STEPS)
    for step in sample_run.record.steps:
        assert re.search(rf"^  {step.name} +\d+\.\d s$", sample_run.output, re.MULTILINE), step.name


def test_the_examples_are_tied_to_the_data_that_was_generated(sample_run):
    manifest = Manifest.load(Path(sample_run.paths.data_root))
    examples = sample_run.record.outputs["ExampleGen", "examples"]
    assert examples.properties["manifest_digest"] == manifest.digest
    publication = json.loads((sample_run.model / "assets.extra" / "publication.json").read_text())
    assert publication["manifest_digest"] == manifest.digest


def test_the_pushed_model_leads_back_to_the_examples(sample_run):
    store = open_store(sample_run.paths.metadata)
    artifact = store.get_artifacts_by_type("PushedModel")[0]
    types = {kind.id: kind.name for kind in store.get_artifact_types()}
    reached, waiting = set(), [artifact.id]
    while waiting:
        found = waiting.pop()
        if found in reached:
            continue
        reached.add(found)
        makers = [
            event.execution_id for event in store.get_events_by_artifact_ids([found]) if event.type == event.OUTPUT
        ]
        inputs = [event for event in store.get_events_by_execution_ids(makers) if event.type == event.INPUT]
        waiting.extend(event.artifact_id for event in inputs)
    kinds = {types[each.type_id] for each in store.get_artifacts_by_id(reached)}
    assert {"Examples", "Schema", "TransformGraph", "Model", "ModelBlessing", "PushedModel"} <= kinds


def test_the_blessed_model_is_the_published_one(sample_run):
    evaluation_result = sample_run.record.evaluation_result
    assert evaluation_result.blessed
    assert evaluation_result.evaluation.baseline is None
    assert sample_run.model == Path(sample_run.paths.serving) / "1"
    trained = sample_run.artifact("Trainer", "model") / "Format-Serving" / "variables" / "variables.data-00000-of-00001"
    published = sample_run.model / "variables" / "variables.data-00000-of-00001"
    assert published.read_bytes() == trained.read_bytes()


def test_the_evaluation_is_what_a_plain_count_over_the_eval_split_gives(sample_run, ranks, held_out):
    expected = count_metrics(ranks, list(range(len(held_out))))
    found = sample_run.record.evaluation_result.evaluation.candidate
    assert set(found) >= set(expected)
    for name, value in expected.items():
        # A few near ties may fall otherwise in batches of another size; a lift is a ratio to some hundredths.
        allowed = 2.5 / len(held_out) * (20 if name.endswith("_lift") else 1)
        assert found[name] == pytest.approx(value, abs=allowed), name


def test_the_page_has_a_command_that_asks_the_model(sample_run):
    page = (Path(sample_run.paths.metadata).parent / "report.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"<code>(python recommend\.py .*?)</code>", page)
    arguments = shlex.split(html.unescape(command))
    assert arguments[:4] == ["python", "recommend.py", "--model", str(sample_run.model)]
    assert recommend.main(arguments[2:]) == 0


def test_the_page_has_a_request_that_the_model_answers_over_rest(sample_run):
    page = (Path(sample_run.paths.metadata).parent / "report.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"<code>(curl .*?)</code>", page)
    _, _, body, address = shlex.split(html.unescape(command))
    assert address == f"http://localhost:8501/v1/models/{sample_run.model.parent.name}:predict"
    (instance,) = json.loads(body)["instances"]
    signature = tf.saved_model.load(str(sample_run.model)).signatures["serving_default"]
    answer = signature(**{name: tf.constant([value], tf.int64) for name, value in instance.items()})
    known = {json.loads(line)["id"] for line in (sample_run.model / "assets.extra" / "catalogue.jsonl").open()}
    assert set(instance["context_movie_id"]) <= known
    assert answer["movie_id"].shape == (1, 100)


def test_recall_is_shown_with_its_interval(sample_run):
    rows = {row.name: row for row in metric_rows(sample_run.record.evaluation_result)}
    assert [name for name, row in rows.items() if row.low is not None] == [f"recall_at_{k}" for k in CUTOFFS]
    page = (Path(sample_run.paths.metadata).parent / "report.html").read_text(encoding="utf-8")
    for k in CUTOFFS:
        row = rows[f"recall_at_{k}"]
        assert 0 < row.low < row.model < row.high < 1
        assert f"{row.low:.4f} to {row.high:.4f}" in page


def test_each_slice_is_judged_by_its_own_examples(sample_run, ranks, held_out):
    rows = defaultdict(list)
    for row, window in enumerate(held_out):
        rows["context_length", str(window.length)].append(row)
        rows["label_popularity", window.popularity].append(row)
    slices = sample_run.record.evaluation_result.evaluation.slices
    assert set(slices) == set(rows)
    for key, of_slice in rows.items():
        expected = count_metrics(ranks, of_slice)
        for name in SHOWN:
            assert slices[key][name] == pytest.approx(expected[name], abs=1.5 / len(of_slice)), (key, name)


def count_markov_recall(train: list[Window], held_out: list[Window]) -> float:
    """Recall@10 of counting what followed the last movie, popularity deciding ties, the context left out."""
    popularity = Counter(window.label for window in train)
    followed = defaultdict(Counter)
    for window in train:
        followed[window.context[-1]][window.label] += 1
    hits = 0
    for window in held_out:
        counts = followed[window.context[-1]]
        offered = [movie for movie in popularity if movie not in window.context]
        best = sorted(offered, key=lambda movie: (-counts[movie], -popularity[movie]))[:10]
        hits += window.label in best
    return hits / len(held_out)


def test_the_model_learned_what_popularity_and_the_last_movie_alone_can_not_tell(sample_run, train, held_out):
    recall = sample_run.record.evaluation_result.evaluation.candidate["recall_at_10"]
    assert recall > 3 * sample_run.record.evaluation_result.evaluation.candidate["recall_at_10_popularity"]
    assert recall > 2 * count_markov_recall(train, held_out)


def test_no_eval_example_was_trained_on(train, held_out):
    assert not {window.serialised for window in train} & {window.serialised for window in held_out}


def test_training_leaves_curves_that_tensorboard_shows(sample_run):
    folder = sample_run.artifact("Trainer", "model_run")
    curves = json.loads((folder / "history.json").read_text())
    assert len(curves["loss"]) == len(curves["val_recall_at_10"]) > 1
    assert list(folder.glob("**/events.out.tfevents.*"))


def test_transform_materialises_no_examples(sample_run):
    assert ("Transform", "transformed_examples") not in sample_run.record.outputs


def test_the_summary_shows_the_figures_that_metadata_holds(sample_run):
    candidate = sample_run.record.evaluation_result.evaluation.candidate
    row = re.search(r"^  recall@10 +(\S+) +(\S+) +(\S+)$", sample_run.output, re.MULTILINE)
    shown = ("recall_at_10", "recall_at_10_popularity", "recall_at_10_recent_popularity")
    assert row.groups() == tuple(f"{candidate[name]:.4f}" for name in shown)
    assert f"  of {candidate['num_queries']:,.0f} queries\n" in sample_run.output
    lift = re.search(r"^  recall@10 lift +(\S+) +>= 1\.5$", sample_run.output, re.MULTILINE)
    assert lift[1] == f"{candidate['recall_at_10_lift']:.4f}"


def test_the_summary_says_decision_reason_and_place(sample_run):
    assert "\n  blessed\n" in sample_run.output
    assert "which meets the required 1.5 times" in sample_run.output
    assert "no model of this pipeline was blessed before" in sample_run.output
    assert f"published: {sample_run.model}" in sample_run.output


def test_the_summary_shows_three_histories_with_titles(sample_run):
    titles = {json.loads(line)["title"] for line in (sample_run.model / "assets.extra" / "catalogue.jsonl").open()}
    _, _, shown = sample_run.output.partition("Three histories")
    assert len(re.findall(r"^  watched ", shown, re.MULTILINE)) == 3
    recommended = re.findall(r"^   [ *] \d\. (.+)$", shown, re.MULTILINE)
    assert len(recommended) == 15
    assert set(recommended) <= titles
    # The true next movie is either marked or named.
    assert len(re.findall(r"^   \* ", shown, re.MULTILINE)) + shown.count("watched next: ") == 3


def test_nothing_of_the_libraries_is_heard(sample_run):
    assert "WARNING" not in sample_run.output
    assert "tensorflow" not in sample_run.output.lower()


def test_metadata_without_a_run_is_told_apart(tmp_path, sample_run):
    with pytest.raises(LookupError, match="records no run"):
        read_run_record(str(tmp_path / "empty.sqlite"), sample_run.settings.model_gate)
