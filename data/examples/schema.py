"""The schema that generated examples must fulfil: a curated base, and what release and settings fix."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from data import features
from data.examples.manifest import Manifest
from data.movie_ids import MovieId
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue
from data.releases.release import find_release

SCHEMA_FILE = "schema.pbtxt"

SCHEMA_TYPES = {"int": schema_pb2.INT, "float": schema_pb2.FLOAT, "bytes": schema_pb2.BYTES}


_MOST_DRIFT = 0.9
"""The highest threshold of drift, whatever the tolerance."""


def build_schema(
    options: GenerateOptions,
    genres: Sequence[str],
    *,
    max_stars: float | None = None,
    pad: MovieId = features.PAD_MOVIE_ID,
) -> schema_pb2.Schema:
    """Return the curated base, completed.

    Parameters
    ----------
    options
        Fix the features' lengths.
    genres
        The genres that may occur, besides the pad; from `Catalogue.genre_names`.
    max_stars
        The most stars that may occur; by default the release's.
    pad
        What stands for no movie in the data set; a text where ids are texts.

    Returns
    -------
    schema_pb2.Schema
        Every feature is required, has a fixed shape and, unless it is an id, a domain; but for histories.
    """
    base = resources.files("data.examples").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    schema = text_format.Parse(base, schema_pb2.Schema())
    by_name = {feature.name: feature for feature in schema.feature}
    for feature in features.features_with(pad):
        described = by_name.get(feature.name) or schema.feature.add(name=feature.name)
        by_name[feature.name] = described
        described.type = SCHEMA_TYPES[feature.type]
        described.presence.min_fraction, described.presence.min_count = 1.0, 1
        described.shape.dim.add(size=feature.num_values(options))
    by_name[features.CONTEXT_MOVIE_RATING].float_domain.max = (
        find_release(options.data_set).max_stars if max_stars is None else max_stars
    )
    for name in (features.LABEL_MOVIE_ID, features.CONTEXT_MOVIE_ID):
        if isinstance(pad, str):
            by_name[name].ClearField("int_domain")
        elif options.release is None:
            # Own ids may be any integers.
            is_categorical = by_name[name].int_domain.is_categorical
            by_name[name].int_domain.Clear()
            by_name[name].int_domain.is_categorical = is_categorical
    if options.leave_out is not None:
        # Train examples have none, and histories any length.
        schema.feature.add(name=features.SEEN_MOVIE_ID, type=by_name[features.LABEL_MOVIE_ID].type)
    length_domain = by_name[features.CONTEXT_LENGTH].int_domain
    length_domain.min, length_domain.max = 1, options.max_context_length
    domains = {feature.name: list(feature.values) for feature in features.FEATURES if feature.values}
    domains[features.CONTEXT_MOVIE_GENRE] = [features.NO_GENRE, *sorted(genres)]
    for name, values in domains.items():
        domain = by_name[name].string_domain
        domain.name = name
        domain.value.extend(values)
    return schema


def schema_of(manifest: Manifest, catalogue: Catalogue, *, drift_tolerance: float = 1.0) -> schema_pb2.Schema:
    """Return the schema of generated data.

    Parameters
    ----------
    manifest
        What the data were generated with.
    catalogue
        The data's movies, for their genres.
    drift_tolerance
        What the thresholds of drift, made for data that are drawn anew, are multiplied with.
    """
    schema = build_schema(
        manifest.options, catalogue.genre_names(), max_stars=manifest.max_rating, pad=manifest.pad_movie_id
    )
    for feature in schema.feature if drift_tolerance != 1.0 else ():
        for name in ("jensen_shannon_divergence", "infinity_norm"):
            if feature.drift_comparator.HasField(name):
                threshold = getattr(feature.drift_comparator, name)
                # Neither distance is ever above 1, which would compare nothing.
                threshold.threshold = min(_MOST_DRIFT, threshold.threshold * drift_tolerance)
    return schema


def write_schema(folder: Path, manifest: Manifest, catalogue: Catalogue, *, drift_tolerance: float = 1.0) -> Path:
    """Write the schema of generated data as text, and return the file's path.

    Parameters
    ----------
    folder
        Gets the file `SCHEMA_FILE`; it is created if need be.
    manifest
        What the data were generated with.
    catalogue
        The data's movies, for their genres.
    drift_tolerance
        As for `schema_of`.

    Raises
    ------
    OSError
        The file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SCHEMA_FILE
    schema = schema_of(manifest, catalogue, drift_tolerance=drift_tolerance)
    path.write_text(text_format.MessageToString(schema), encoding="utf-8")
    return path
