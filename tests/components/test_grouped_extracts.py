"""Batches of examples, grouped by the slices they fall into, against TFMA's own way of one example at a time."""

from __future__ import annotations

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.grouped_extracts import custom_extractors, group_examples
from components.evaluation.histories_together import TogetherByUser
from components.evaluation.rank_sums import RANK_OUTPUTS

SLICED_BY = ["context_length", "label_popularity"]
LENGTH = np.array([[10], [3], [10], [10], [3]])
POPULARITY = np.array([[b"head"], [b"head"], [b"tail"], [b"head"], [b"head"]])


def make_batch(rank: list[int]) -> dict:
    outputs = {output: np.array(rank) for output in RANK_OUTPUTS} | {"top_movie_id": np.array([[r, -r] for r in rank])}
    return {
        tfma.FEATURES_KEY: {"context_length": LENGTH, "label_popularity": POPULARITY, "label_movie_id": LENGTH},
        tfma.PREDICTIONS_KEY: {"candidate": outputs},
        tfma.LABELS_KEY: None,
        tfma.INPUT_KEY: np.array([b"example"] * len(rank)),
    }


def test_examples_of_the_same_slices_travel_together():
    groups = list(group_examples(make_batch([1, 2, 3, 4, 5]), sliced_by=SLICED_BY))
    found = {
        (int(group["features"]["context_length"][0]), group["features"]["label_popularity"][0]): group["predictions"]
        for group in groups
    }
    assert found.keys() == {(10, b"head"), (3, b"head"), (10, b"tail")}
    ranks = {key: predictions["candidate"]["rank"].tolist() for key, predictions in found.items()}
    assert ranks == {(10, b"head"): [1, 4], (3, b"head"): [2, 5], (10, b"tail"): [3]}
    assert found[10, b"head"]["candidate"]["top_movie_id"].tolist() == [[1, -1], [4, -4]]


def test_a_feature_of_any_length_is_not_taken_for_the_number_of_examples():
    batch = make_batch([1, 2, 3, 4, 5])
    batch[tfma.FEATURES_KEY] = {"a ragged one": [[1], [2, 3]], **batch[tfma.FEATURES_KEY]}
    for sliced_by in (SLICED_BY, []):
        groups = group_examples(batch, sliced_by=sliced_by)
        assert sum(len(group["predictions"]["candidate"]["rank"]) for group in groups) == 5


def test_nothing_else_of_an_example_travels():
    [group, *_] = group_examples(make_batch([1, 2, 3, 4, 5]), sliced_by=SLICED_BY)
    assert group.keys() == {tfma.FEATURES_KEY, tfma.PREDICTIONS_KEY, tfma.LABELS_KEY}
    assert group[tfma.FEATURES_KEY].keys() == set(SLICED_BY)
    assert group[tfma.LABELS_KEY] is None


def test_without_slices_a_batch_stays_whole():
    [group] = group_examples(make_batch([5, 4, 3, 2, 1]), sliced_by=[])
    assert group["predictions"]["candidate"]["rank"].tolist() == [5, 4, 3, 2, 1]


def test_a_feature_that_decides_has_one_value_an_example():
    batch = make_batch([1, 2, 3, 4, 5])
    batch[tfma.FEATURES_KEY]["context_length"] = np.ones([5, 2])
    with pytest.raises(ValueError, match="zip"):
        list(group_examples(batch, sliced_by=SLICED_BY))


def test_queries_of_one_user_are_put_together_and_their_histories_left_in_the_records_alone():
    histories = [[9, 8, 7, 6, 5], [1, 2], [9, 8, 7, 6], None, [1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4], [1, 2, 3, 4]]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([[number] for number in range(7)]),
            pa.array(histories, pa.large_list(pa.int64())),
            pa.array([[b"%d" % number] for number in range(7)]),
        ],
        ["label_movie_id", "seen_movie_id", "__raw_record__"],
    )
    given = [{tfma.ARROW_RECORD_BATCH_KEY: half} for half in (batch.slice(0, 4), batch.slice(4))]

    def side_by_side_the_shortest_first(found: list[dict[str, list]]) -> None:
        assert all(list(each) == ["label_movie_id", "__raw_record__"] for each in found)
        rows = [(label, record) for each in found for [label], [record] in zip(*each.values(), strict=True)]
        assert all(record == b"%d" % label for label, record in rows)
        order = [label for label, _ in rows]
        assert sorted(order) == list(range(7))
        assert {"2,0,5", "6,4"} <= {",".join(map(str, order[at : at + n])) for n in (2, 3) for at in range(7)}

    with beam.Pipeline(
        options=PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    ) as pipeline:
        extracts = pipeline | beam.Create(given) | TogetherByUser()
        tables = extracts | beam.Map(lambda each: each[tfma.ARROW_RECORD_BATCH_KEY].to_pydict())
        assert_that(tables, side_by_side_the_shortest_first)


def test_grouping_stands_where_tfma_takes_batches_apart():
    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(signature_name="evaluate", prediction_key="rank")],
        slicing_specs=[config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=[name]) for name in SLICED_BY)],
    )
    ours = custom_extractors(eval_shared_model=None, eval_config=config, tensor_adapter_config=None)
    stock = [extractor.stage_name for extractor in tfma.default_extractors(eval_config=config)]
    stages = [extractor.stage_name for extractor in ours]
    assert len(stages) == len(stock)
    assert [mine for mine, theirs in zip(stages, stock, strict=True) if mine != theirs] == ["GroupExamples"]
    assert stages[-2:] == ["GroupExamples", tfma.extractors.SLICE_KEY_EXTRACTOR_STAGE_NAME]
