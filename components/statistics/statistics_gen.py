"""Statistics of the examples, twice in one reading: as the shards hold them, and with padding left out.

The schema and the drift comparators are about the features as they are, of a fixed length. In those, pads are values
like any other: nothing is ever missing, and "0" is the most watched movie. People look at the second kind, in which
every value is counted. TFDV makes the first kind, which is all that stock StatisticsGen gives.

Since every array is read here, faults that no statistic shows are looked for too: a movie behind a pad, or stars that
the release doesn't give.
"""

import json
from collections.abc import Iterator, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.artifacts import UnpaddedExampleStatistics
from components.ingestion.example_reading import fixed_lengths, read_fixed_lengths
from components.naming import SPAN_PROPERTY
from components.statistics.feature_statistics import STATISTICS_FILE
from components.statistics.value_counts import ValueCounts, add_counts, as_statistics, count_values
from data import features
from data.errors import InputError
from data.examples.manifest import Manifest
from data.movie_ids import MovieId
from data.releases.release import find_release
from serving.artifact_files import example_files, read_manifest

_FAULTS_FILE = "faults.json"
_FAULTS_TOLD = 3


def without_padding(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch without pads.

    Parameters
    ----------
    batch
        Features as the shards hold them.

    Returns
    -------
    pa.RecordBatch
        Features with a value for each movie cut to `context_length`, others without pads, and neither with unknown
        values. Features that are not of one length and present everywhere come as they are, for the schema to refuse.
    """
    columns = {name: batch.column(name) for name in batch.schema.names}
    arrays = {name: _matrix(column) for name, column in columns.items()}
    length = arrays.get(features.CONTEXT_LENGTH)
    for feature in features.FEATURES:
        values = arrays.get(feature.name)
        if feature.pad is None or values is None:
            continue
        if not feature.follows_context:
            kept = values != _as_value(feature.pad)
        elif length is not None:
            kept = _is_content(values, length)
        else:
            continue
        if feature.unknown is not None:
            kept &= values != feature.unknown
        columns[feature.name] = _ragged(values, kept)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def find_faults(batch: pa.RecordBatch, stars: Sequence[float], pad: MovieId = features.PAD_MOVIE_ID) -> Iterator[str]:
    """Yield what is wrong with the arrays of a batch, each with the first example of it.

    Parameters
    ----------
    batch
        Features as the shards hold them.
    stars
        The stars that the release gives; nothing where any may be.
    pad
        What stands for no movie.
    """
    arrays = {name: _matrix(batch.column(name)) for name in batch.schema.names}
    length, ids = arrays.get(features.CONTEXT_LENGTH), arrays.get(features.CONTEXT_MOVIE_ID)
    if length is None or ids is None:
        return
    content = _is_content(ids, length)
    is_pad = ids == _as_value(pad)
    yield from _first_fault(content & is_pad, ids, "a pad stands among the ids")
    yield from _first_fault(~content & ~is_pad, ids, "an id stands behind the context's end")
    ratings = arrays.get(features.CONTEXT_MOVIE_RATING)
    if ratings is not None and ratings.shape == ids.shape:
        if stars:
            yield from _first_fault(content & ~np.isin(ratings, stars), ratings, "stars that the release doesn't give")
        yield from _first_fault(~content & (ratings != 0), ratings, "stars stand behind the context's end")
    genres = arrays.get(features.CONTEXT_MOVIE_GENRE)
    if genres is not None:
        padded = genres == features.NO_GENRE.encode()
        yield from _first_fault(padded[:, :-1] & ~padded[:, 1:], genres, "a genre stands behind a pad")


def write_statistics(
    pipeline: beam.Pipeline,
    split: str,
    files: Sequence[str],
    stars: Sequence[float],
    pad: MovieId,
    *,
    padded: str,
    unpadded: str,
    schema: schema_pb2.Schema,
) -> None:
    """Add the statistics of one split to a Beam pipeline.

    Parameters
    ----------
    pipeline
        Beam's.
    split
        The split's name.
    files
        Its gzipped TFRecord files.
    stars
        The stars that the release gives; nothing where any may be.
    pad
        What stands for no movie.
    padded, unpadded
        Folders that get `Split-<split>/FeatureStats.pb`, the second one also faults for `raise_on_faults`.
    schema
        Gives the features' lengths, and tells TFDV which numbers are names.
    """
    for folder in (padded, unpadded):
        tfx.dsl.io.fileio.makedirs(f"{folder}/Split-{split}")
    batches = (
        pipeline
        | f"Files {split}" >> beam.Create(list(files))
        | f"Spread {split}" >> beam.Reshuffle()
        | f"Read {split}" >> beam.FlatMap(read_fixed_lengths, fixed_lengths(schema))
    )
    _ = (
        batches
        | f"CountPadded {split}" >> tfdv.GenerateStatistics(tfdv.StatsOptions(schema=schema))
        | f"WritePadded {split}" >> tfdv.WriteStatisticsToBinaryFile(f"{padded}/Split-{split}/{STATISTICS_FILE}")
    )
    _ = (
        batches
        | f"CountUnpadded {split}" >> beam.Map(_count_unpadded)
        | f"AddCounts {split}" >> beam.CombineGlobally(add_counts)
        | f"WriteUnpadded {split}" >> beam.Map(_write_counts, f"{unpadded}/Split-{split}/{STATISTICS_FILE}")
    )
    _ = (
        batches
        | f"FindFaults {split}" >> beam.FlatMap(find_faults, list(stars), pad)
        | f"AFew {split}" >> beam.combiners.Sample.FixedSizeGlobally(_FAULTS_TOLD)
        | f"WriteFaults {split}" >> beam.Map(_write_json, f"{unpadded}/Split-{split}/{_FAULTS_FILE}")
    )


def raise_on_faults(split: str, folder: str) -> None:
    """Raise `InputError` if `write_statistics` found faults."""
    with tfx.dsl.io.fileio.open(f"{folder}/Split-{split}/{_FAULTS_FILE}") as file:
        faults = json.loads(file.read())
    if faults:
        raise InputError(
            f"the {split} examples are damaged, generate them again: {'; '.join(sorted(faults))}", code="G08"
        )


def stars_of(manifest: Manifest) -> list[float]:
    """Return the stars that a release gives, ascending; nothing for own data, which may give any."""
    if manifest.release is None:
        return []
    release = find_release(manifest.release)
    step = 0.5 if release.half_stars else 1.0
    return np.arange(release.min_stars, release.max_stars + step / 2, step).tolist()


@tfx.dsl.components.component(use_beam=True)
def ShardStatisticsGen(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[list[tfx.types.standard_artifacts.Examples]],
    schema: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Schema],
    statistics: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    unpadded: tfx.dsl.components.OutputArtifact[UnpaddedExampleStatistics],
    code_digest: tfx.dsl.components.Parameter[str],
    beam_pipeline: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Compute both kinds of statistics; raise `InputError` on faulty arrays.

    Several examples, a range of spans with the newest first, are counted as one. `statistics` is what stock
    StatisticsGen gives. `code_digest` only tells TFX's cache when this code changes.
    """
    newest = examples[0]
    splits = artifact_utils.decode_split_names(newest.split_names)
    manifest = read_manifest(newest.uri)
    curated = tfdv.load_schema_text(f"{schema.uri}/schema.pbtxt")
    with beam_pipeline as pipeline:
        for split in splits:
            write_statistics(
                pipeline,
                split,
                [file for span in examples for file in example_files(span.uri, split)],
                stars_of(manifest),
                manifest.pad_movie_id,
                padded=statistics.uri,
                unpadded=unpadded.uri,
                schema=curated,
            )
    statistics.split_names = newest.split_names
    if manifest.span is not None:
        statistics.set_int_custom_property(SPAN_PROPERTY, manifest.span.number)
    for split in splits:
        raise_on_faults(split, unpadded.uri)


def _matrix(column: pa.Array) -> np.ndarray | None:
    """Return a column as `[num_examples, values]`; None if it is not of one length, or missing somewhere."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)) or column.null_count:
        return None
    lengths = np.diff(column.offsets.to_numpy())
    if not len(lengths) or lengths.min() != lengths.max() or lengths[0] == 0:
        return None
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), lengths[0])


def _as_value(pad: float | str) -> float | bytes:
    """Return a pad as it stands in arrays."""
    return pad.encode() if isinstance(pad, str) else pad


def _is_content(values: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return which positions lie before the context's end, bool `[num_examples, context]`."""
    return np.arange(values.shape[1]) < length[:, :1]


def _ragged(values: np.ndarray, kept: np.ndarray) -> pa.Array:
    """Return the kept values, a list for each row."""
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    kind = pa.large_binary() if values.dtype == object else None
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values[kept], kind))


def _first_fault(faulty: np.ndarray, values: np.ndarray, what: str) -> Iterator[str]:
    rows = np.flatnonzero(faulty.any(axis=1))
    if len(rows):
        shown = ", ".join(value.decode() if isinstance(value, bytes) else f"{value:g}" for value in values[rows[0]])
        yield f"{what} ({shown})"


def _count_unpadded(batch: pa.RecordBatch) -> ValueCounts:
    return count_values(without_padding(batch))


def _write_counts(counts: ValueCounts, file_name: str) -> None:
    with tfx.dsl.io.fileio.open(file_name, "wb") as file:
        file.write(as_statistics(counts).SerializeToString())


def _write_json(value: object, file_name: str) -> None:
    with tfx.dsl.io.fileio.open(file_name, "w") as file:
        file.write(json.dumps(value, allow_nan=False))
