"""One table describes every feature; what shows, checks and counts features follows it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from data import features
from data.examples.feature_table import FeatureTable
from data.examples.schema import build_schema
from data.features import Feature
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue, Movie
from data.timelines.windows import window_dtype

ROOT = Path(__file__).resolve().parent.parent.parent

MOOD = Feature(
    "context_movie_mood",
    "bytes",
    "category",
    "context",
    "moods of the context movies",
    length="max_context_length",
    pad="NONE",
    values=("sad", "merry"),
)
"""A feature that nothing but the table knows."""


@pytest.fixture
def mood(monkeypatch: pytest.MonkeyPatch) -> Feature:
    monkeypatch.setattr(features, "FEATURES", (*features.FEATURES, MOOD))
    return MOOD


def test_the_table_describes_what_is_computed_for_each_window():
    options = GenerateOptions(release="sample", max_context_length=3, max_context_movie_genre_length=2)
    catalogue = Catalogue.of([Movie(id=1, title="A", year=1999, genres=("War",))], [1])
    computed = FeatureTable(catalogue, options).features_of(np.zeros(4, dtype=window_dtype(3)))
    kinds = {"int": "iu", "float": "f", "bytes": "S"}
    assert computed.keys() == {feature.name for feature in features.FEATURES}
    for feature in features.FEATURES:
        values = computed[feature.name]
        assert values.shape == (4, feature.num_values(options)), feature.name
        assert values.dtype.kind in kinds[feature.type], feature.name


def test_the_curated_file_speaks_of_features_of_the_table_only():
    curated = text_format.Parse((ROOT / "data" / "examples" / "schema.pbtxt").read_text(), schema_pb2.Schema())
    assert {feature.name for feature in curated.feature} <= {feature.name for feature in features.FEATURES}


def test_a_feature_that_only_the_table_knows_is_in_the_schema(mood: Feature):
    schema = build_schema(GenerateOptions(release="sample", max_context_length=7), ["War"])
    (described,) = [feature for feature in schema.feature if feature.name == mood.name]
    assert described.type == schema_pb2.BYTES
    assert (described.presence.min_fraction, described.presence.min_count) == (1.0, 1)
    assert [dim.size for dim in described.shape.dim] == [7]
    assert list(described.string_domain.value) == ["sad", "merry"]


def test_its_padding_is_left_out_of_the_statistics_that_people_look_at(mood: Feature):
    from components.statistics.statistics_gen import without_padding

    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([[2], [1]], pa.large_list(pa.int64())),
            pa.array([[b"sad", b"merry", b"NONE"], [b"sad", b"NONE", b"NONE"]], pa.large_list(pa.large_binary())),
        ],
        names=[features.CONTEXT_LENGTH, mood.name],
    )
    assert without_padding(batch).column(mood.name).to_pylist() == [[b"sad", b"merry"], [b"sad"]]


def test_no_product_module_but_the_table_and_its_computation_lists_the_features():
    described = [feature.name for feature in features.FEATURES]
    names = {name for name, value in vars(features).items() if isinstance(value, str) and value in described}
    listing = {}
    for room in ("data", "serving", "trainer_module", "components", "pipeline"):
        for path in (ROOT / room).rglob("*.py"):
            nodes = ast.walk(ast.parse(path.read_text()))
            used = {node.attr for node in nodes if isinstance(node, ast.Attribute)} & names
            if len(used) >= len(names) - 1:
                listing[str(path.relative_to(ROOT))] = used
    assert listing.keys() == {"data/examples/feature_table.py"}
