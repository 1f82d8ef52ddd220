"""The schema accepts what is generated and refuses what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from data import features
from data.examples.encoding import encode_examples
from data.examples.schema import build_schema, schema_of, write_schema
from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, Catalogue


def _anomalies(pattern: Path, schema: schema_pb2.Schema) -> dict[str, str]:
    statistics = tfdv.generate_statistics_from_tfrecord(
        str(pattern), stats_options=tfdv.StatsOptions(schema=schema, num_top_values=10)
    )
    found = tfdv.validate_statistics(statistics, schema).anomaly_info
    return {name: anomaly.description for name, anomaly in found.items()}


def test_what_is_generated_has_no_anomalies(tmp_path: Path):
    output = tmp_path / "out"
    options = GenerateOptions(release="sample", max_context_length=7, max_context_movie_genre_length=4)
    manifest = generate(options, output)
    path = write_schema(tmp_path / "schema", manifest, Catalogue.load(output / CATALOGUE_FILE))
    schema = text_format.Parse(path.read_text(), schema_pb2.Schema())
    for split in ("train", "eval"):
        assert _anomalies(output / f"{split}-*", schema) == {}


def _good() -> dict[str, list]:
    return {
        features.CONTEXT_MOVIE_ID: [5, 0],
        features.CONTEXT_MOVIE_RATING: [4.0, 0.0],
        features.CONTEXT_MOVIE_YEAR: [1995, 0],
        features.CONTEXT_MOVIE_GENRE: [b"Drama", b"UNK", b"UNK"],
        features.LABEL_MOVIE_ID: [7],
        features.CONTEXT_LENGTH: [1],
        features.LABEL_POPULARITY: [b"tail"],
    }


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (features.CONTEXT_MOVIE_ID, [5, 0, 0]),
        (features.CONTEXT_MOVIE_ID, [b"5", b"0"]),
        (features.CONTEXT_MOVIE_RATING, [5.5, 0.0]),
        (features.CONTEXT_MOVIE_YEAR, [3000, 0]),
        (features.CONTEXT_MOVIE_GENRE, [b"Western", b"UNK", b"UNK"]),
        (features.LABEL_MOVIE_ID, [0]),
        (features.LABEL_MOVIE_ID, None),
        (features.CONTEXT_LENGTH, [0]),
        (features.CONTEXT_LENGTH, [3]),
        (features.LABEL_POPULARITY, [b"huge"]),
    ],
)
def test_a_feature_that_is_not_as_generated_is_an_anomaly(tmp_path: Path, name: str, values: list | None):
    example = {**_good(), name: values}
    arrays = {
        name: np.array([values], dtype=np.float32 if isinstance(values[0], float) else None)
        for name, values in example.items()
        if values is not None
    }
    path = tmp_path / "examples"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for serialised in encode_examples(arrays) * 5:
            writer.write(serialised)
    options = GenerateOptions(release="ml-1m", max_context_length=2, max_context_movie_genre_length=3)
    assert set(_anomalies(path, build_schema(options, ["Drama", "War"]))) == {name}


def test_settings_and_release_fix_lengths_stars_and_genres():
    options = GenerateOptions(release="ml-1m", max_context_length=4, max_context_movie_genre_length=6)
    schema = {feature.name: feature for feature in build_schema(options, ["War", "Drama"]).feature}
    assert schema[features.CONTEXT_MOVIE_ID].shape.dim[0].size == 4
    assert schema[features.CONTEXT_MOVIE_GENRE].shape.dim[0].size == 6
    assert list(schema[features.CONTEXT_MOVIE_GENRE].string_domain.value) == ["UNK", "Drama", "War"]
    assert schema[features.CONTEXT_MOVIE_RATING].float_domain.max == 5.0
    assert schema[features.CONTEXT_LENGTH].int_domain.max == 4
    assert set(schema) == {value for name, value in vars(features).items() if name.startswith(("CONTEXT_", "LABEL_"))}


def test_no_tolerance_takes_a_threshold_of_drift_to_where_nothing_is_compared(tmp_path: Path):
    manifest = generate(GenerateOptions(release="sample"), tmp_path)
    catalogue = Catalogue.load(tmp_path / manifest.catalogue_file)
    for tolerance, highest in ((1, 0.05), (20, 0.9), (1000, 0.9)):
        schema = schema_of(manifest, catalogue, drift_tolerance=tolerance)
        found = [
            getattr(feature.drift_comparator, name).threshold
            for feature in schema.feature
            for name in ("jensen_shannon_divergence", "infinity_norm")
            if feature.drift_comparator.HasField(name)
        ]
        assert len(found) == 5
        assert max(found) == pytest.approx(highest)
