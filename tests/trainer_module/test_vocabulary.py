"""The Transform step's code, through a real analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

from data import features
from data.errors import InputError
from trainer_module.dataset import parse_and_transform, read_windows
from trainer_module.preprocessing import VOCABULARY, preprocessing_fn

pytestmark = pytest.mark.slow

# Movie 30 stands four times, 10 three times, 20 twice and 40 once; the pad five times.
TRAIN = [((10, 30, 0), 30), ((30, 0, 0), 20), ((10, 20, 30), 10), ((40, 0, 0), 30)]
TRAIN_COUNTS = {30: 5, 10: 3, 20: 2, 40: 1}
RAW = {
    features.CONTEXT_MOVIE_ID: tf.io.FixedLenFeature([3], tf.int64),
    features.LABEL_MOVIE_ID: tf.io.FixedLenFeature([1], tf.int64),
    features.CONTEXT_LENGTH: tf.io.FixedLenFeature([1], tf.int64),
}


def serialise(context, label) -> bytes:
    example = tf.train.Example()
    example.features.feature[features.CONTEXT_MOVIE_ID].int64_list.value.extend(context)
    example.features.feature[features.LABEL_MOVIE_ID].int64_list.value.append(label)
    return example.SerializeToString()


@pytest.fixture(scope="module")
def transform_output(tmp_path_factory) -> tft.TFTransformOutput:
    folder = tmp_path_factory.mktemp("transform")
    rows = [
        {
            features.CONTEXT_MOVIE_ID: np.array(context),
            features.LABEL_MOVIE_ID: np.array([label]),
            features.CONTEXT_LENGTH: np.array([np.count_nonzero(context)]),
        }
        for context, label in TRAIN
    ]
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(RAW))
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        transform_fn = (rows, metadata) | tft_beam.AnalyzeDataset(preprocessing_fn)
        transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
    # The Transform component writes the raw features' schema beside the graph.
    metadata_io.write_metadata(metadata, str(folder / "graph" / tft.TFTransformOutput.RAW_METADATA_DIR))
    return tft.TFTransformOutput(str(folder / "graph"))


def test_the_vocabulary_holds_the_movies_of_contexts_and_labels_and_no_pad(transform_output):
    words = [int(word) for word in transform_output.vocabulary_by_name(VOCABULARY)]
    assert words == sorted(TRAIN_COUNTS, key=TRAIN_COUNTS.get, reverse=True)


def test_movies_become_places_from_one_and_pads_and_unknown_movies_zero(transform_output):
    layer = transform_output.transform_features_layer()
    serialized = tf.constant([serialise((40, 30, 0), 10), serialise((99, 20, 0), 98)])
    context, label = parse_and_transform(serialized, transform_output, layer)
    assert context.numpy().tolist() == [[4, 1, 0], [0, 3, 0]]
    assert label.numpy().tolist() == [2, 0]


def test_files_are_read_whole_and_in_the_same_order_each_time(transform_output, tmp_path):
    for number, rows in enumerate((TRAIN[:3], TRAIN[3:])):
        with tf.io.TFRecordWriter(str(tmp_path / f"part-{number}.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
            for row in rows:
                writer.write(serialise(*row))
    files = [str(tmp_path / f"part-{number}.gz") for number in range(2)]
    windows, again = read_windows(files, transform_output), read_windows(files, transform_output)
    rows = [(*context, label) for context, label in zip(windows.context.tolist(), windows.label.tolist(), strict=True)]
    assert sorted(rows) == [(1, 0, 0, 3), (2, 1, 0, 1), (2, 3, 1, 2), (4, 0, 0, 1)]
    assert windows.context.dtype == windows.label.dtype == np.int32
    np.testing.assert_array_equal(again.context, windows.context)
    np.testing.assert_array_equal(again.label, windows.label)


def test_files_without_an_example_are_refused(transform_output, tmp_path):
    empty: Path = tmp_path / "part-0.gz"
    with tf.io.TFRecordWriter(str(empty), tf.io.TFRecordOptions("GZIP")):
        pass
    with pytest.raises(InputError, match="no example"):
        read_windows([str(empty)], transform_output)
