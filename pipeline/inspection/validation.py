"""Examples held against the curated schema, and that schema beside a freshly inferred one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow_data_validation as tfdv
from pydantic import BaseModel
from tensorflow_metadata.proto.v0 import schema_pb2

from components.statistics.feature_statistics import read_statistics
from data.errors import InputError
from pipeline.inspection.statistics_store import StatisticsSet


class Anomaly(BaseModel):
    """One way in which examples break the schema; `example` is the first that does, where one can be named."""

    split: str
    feature: str
    kind: str
    reason: str
    example: str | None


class SchemaDifference(BaseModel):
    """What one schema says of a feature, and what the other one says."""

    feature: str
    what: str
    curated: str
    inferred: str


def validate(source: StatisticsSet, schema: schema_pb2.Schema | None = None) -> list[Anomaly]:
    """Return what breaks a schema, in each split, by TFDV.

    Parameters
    ----------
    source
        The statistics as the shards hold the features, which is what the schema is about.
    schema
        By default the curated one.
    """
    schema = schema or source.schema()
    found = []
    for split in source.splits:
        anomalies = tfdv.validate_statistics(read_statistics(source.padded, split), schema)
        if anomalies.data_missing:
            found.append(Anomaly(split=split, feature="(all)", kind="No examples", reason="none", example=None))
        if anomalies.HasField("dataset_anomaly_info"):
            info = anomalies.dataset_anomaly_info
            reason = " ".join(info.description.split())
            found.append(
                Anomaly(split=split, feature="(all)", kind=info.short_description, reason=reason, example=None)
            )
        for name, info in sorted(anomalies.anomaly_info.items()):
            found.append(
                Anomaly(
                    split=split,
                    feature=name,
                    kind=info.short_description,
                    reason=" ".join(info.description.split()),
                    example=_first_example(source, split, name, schema),
                )
            )
    return found


def infer_differences(source: StatisticsSet) -> list[SchemaDifference]:
    """Return where the curated schema and one that TFDV infers from the train split differ.

    Parameters
    ----------
    source
        The statistics.

    Raises
    ------
    InputError
        There is no train split.
    """
    if "train" not in source.splits:
        raise InputError(f"{source.name} has no train split to infer a schema from", code="S10")
    inferred = tfdv.infer_schema(read_statistics(source.padded, "train"))
    curated = source.schema()
    left, right = _by_name(curated), _by_name(inferred)
    differences = []
    for name in dict.fromkeys([*left, *right]):
        described = [_describe(of.get(name), schema) for of, schema in ((left, curated), (right, inferred))]
        differences += [
            SchemaDifference(feature=name, what=what, curated=described[0][what], inferred=described[1][what])
            for what in described[0]
            if described[0][what] != described[1][what]
        ]
    return differences


def _by_name(schema: schema_pb2.Schema) -> dict[str, schema_pb2.Feature]:
    return {feature.name: feature for feature in schema.feature}


def _describe(feature: schema_pb2.Feature | None, schema: schema_pb2.Schema) -> dict[str, str]:
    """Say in words what a schema asks of a feature."""
    if feature is None:
        return dict.fromkeys(("type", "presence", "shape", "domain", "drift"), "not there")
    values = _allowed_strings(feature, schema)
    bounds = _bounds(feature)
    limits = []
    if feature.drift_comparator.HasField("infinity_norm"):
        limits.append(f"L-infinity up to {feature.drift_comparator.infinity_norm.threshold:g}")
    if feature.drift_comparator.HasField("jensen_shannon_divergence"):
        limits.append(f"Jensen-Shannon up to {feature.drift_comparator.jensen_shannon_divergence.threshold:g}")
    categorical = feature.int_domain.is_categorical or feature.float_domain.is_categorical
    return {
        "type": schema_pb2.FeatureType.Name(feature.type) + (", categorical" if categorical else ""),
        "presence": f"in {feature.presence.min_fraction:.0%} of the examples" if feature.presence.min_fraction else "-",
        "shape": " x ".join(str(dim.size) for dim in feature.shape.dim) or "any",
        "domain": ", ".join(sorted(values))
        if values
        else (f"{bounds[0]:.10g} to {bounds[1]:.10g}" if bounds else "any"),
        "drift": "; ".join(limits) or "-",
    }


def _allowed_strings(feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> set[str]:
    """Return the domain's values, whether it stands in the feature or is named by it."""
    named = [domain for domain in schema.string_domain if domain.name == feature.domain]
    return {value for domain in [feature.string_domain, *named] for value in domain.value}


def _bounds(feature: schema_pb2.Feature) -> tuple[float, float] | None:
    for kind in ("int_domain", "float_domain"):
        if feature.HasField(kind):
            domain = getattr(feature, kind)
            if domain.HasField("min") or domain.HasField("max"):
                return (
                    domain.min if domain.HasField("min") else -np.inf,
                    domain.max if domain.HasField("max") else np.inf,
                )
    return None


def _first_example(source: StatisticsSet, split: str, name: str, schema: schema_pb2.Schema) -> str | None:
    """Describe the first example whose values break the schema.

    TFDV's own search for anomalous examples computes statistics of single examples: minutes for a small data set.
    """
    feature = _by_name(schema).get(name)
    for number, values in _values_of(source, split, name):
        if values is None:
            if feature is None:
                # It is one too many, so that whoever lacks it is right.
                continue
            return f"example {number} has none"
        if feature is None or _breaks(values, feature, schema):
            return f"example {number}: {', '.join(_text(value) for value in values)}"
    return None


def _values_of(source: StatisticsSet, split: str, name: str) -> Iterator[tuple[int, list[bytes | float] | None]]:
    """Yield an example's number, from 1, and its values; None where it lacks the feature."""
    # Imported late: it brings TFX, and is needed only once something is wrong.
    from components.ingestion.example_reading import read_batches

    number = 0
    for file in source.files[split]:
        for batch in read_batches(file):
            has_it = name in batch.schema.names
            column = batch.column(name).to_pylist() if has_it else [None] * batch.num_rows
            for values in column:
                number += 1
                yield number, values


def _breaks(values: list[bytes | float], feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> bool:
    """Tell whether one example's values can't be, by length, bounds or domain."""
    if feature.shape.dim and len(values) != int(np.prod([dim.size for dim in feature.shape.dim])):
        return True
    strings = _allowed_strings(feature, schema)
    if strings:
        return any(_text(value) not in strings for value in values)
    bounds = _bounds(feature)
    if bounds is None:
        return False
    return any(isinstance(value, bytes) or not bounds[0] <= value <= bounds[1] for value in values)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return f"{value:g}" if isinstance(value, float) else str(value)
