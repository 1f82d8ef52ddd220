"""What the gates measure of a series, span by span: `python -m benchmarks.span_gate SERIES`.

Every span is held against the range before it by the pipeline's code: the span gate's figures, and the drift of its
train split as a multiple of the schema's thresholds, which is what `rolling.span_gate.drift_tolerance` has to be above.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import markdown_table, positive_int
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.errors import InputError
from data.examples.manifest import Manifest
from data.releases.catalogue import Catalogue
from data.spans.series import list_spans, span_folder
from data.user_files import user_path
from pipeline.tfx_imports import defer_cloud_extensions

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    defer_cloud_extensions()
    numbers = list_spans(options.series)
    judged = numbers[1:][-options.last :]
    if not judged:
        raise InputError(f"{options.series} holds no second span: the first has none before it", code="A12")
    measured = {span: _gate_figures(options.series, numbers, span, options.num_spans) for span in judged}
    for span, drift in drift_of(options.series, numbers, judged, options.num_spans).items():
        measured[span] |= drift
    print(f"{options.series}: {len(judged)} spans, each against at most {options.num_spans} before it\n")
    print(quantile_table(list(measured.values())))


def quantile_table(measured: Sequence[Mapping[str, float]]) -> str:
    """Return the quantiles of each figure over the spans as a table."""
    names = list(dict.fromkeys(name for of_span in measured for name in of_span))
    rows = []
    for name in names:
        values = [of_span[name] for of_span in measured if name in of_span]
        rows.append([name, *(f"{value:.2f}" for value in np.quantile(values, QUANTILES))])
    return markdown_table(["figure", "least", "5 %", "median", "95 %", "most"], rows)


def drift_of(
    series: Path, numbers: Sequence[int], judged: Sequence[int], num_spans: int
) -> dict[int, dict[str, float]]:
    """Return how far each span's train split lies from the range before it, as multiples of the schema's thresholds.

    Parameters
    ----------
    series, numbers
        The folder, and its spans ascending.
    judged
        Those to measure.
    num_spans
        The most spans of a range.

    Returns
    -------
    dict
        By span, and by feature and measure.
    """
    from components.data_gate.rules import find_drift
    from data.examples.schema import schema_of

    newest = span_folder(series, judged[-1])
    manifest = Manifest.load(newest)
    schema = schema_of(manifest, Catalogue.load(newest / manifest.catalogue_file))
    thresholds = {}
    for feature in schema.feature:
        comparator = feature.drift_comparator
        thresholds[f"{feature.name}: L_INFTY"] = comparator.infinity_norm.threshold
        thresholds[f"{feature.name}: JENSEN_SHANNON_DIVERGENCE"] = comparator.jensen_shannon_divergence.threshold
    drift = {}
    for span in judged:
        before = _range_before(numbers, span, num_spans)
        found = find_drift(_statistics_of(series, [span], schema), _statistics_of(series, before, schema), schema)
        drift[span] = {
            name: distance / thresholds[name] for name, distance in found.distances.items() if thresholds.get(name)
        }
    return drift


def _statistics_of(
    series: Path, spans: Sequence[int], schema: schema_pb2.Schema
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Count the train splits of spans as one, as the pipeline counts them."""
    import apache_beam as beam
    import tensorflow_data_validation as tfdv
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.ingestion.example_reading import fixed_lengths, read_fixed_lengths
    from data.beam_options import DEFAULT_ARGS

    folders = [span_folder(series, span) for span in spans]
    files = [str(folder / shard.name) for folder in folders for shard in Manifest.load(folder).shards_of("train")]
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(options=PipelineOptions(list(DEFAULT_ARGS))) as pipeline:
            _ = (
                pipeline
                | beam.Create(files)
                | beam.FlatMap(read_fixed_lengths, fixed_lengths(schema))
                | tfdv.GenerateStatistics(tfdv.StatsOptions(schema=schema))
                | tfdv.WriteStatisticsToBinaryFile(f"{folder}/counted")
            )
        return tfdv.load_stats_binary(f"{folder}/counted")


def _gate_figures(series: Path, numbers: Sequence[int], span: int, num_spans: int) -> dict[str, float]:
    from components.spans.span_gate import measure

    own, *before = (_read(span_folder(series, number)) for number in [span, *_range_before(numbers, span, num_spans)])
    found = measure(*own, before)
    shares = {name: value for name, value in asdict(found).items() if name not in ("labels", "usual")}
    return {"labels, times the usual": found.times, **shares}


def _range_before(numbers: Sequence[int], span: int, num_spans: int) -> list[int]:
    return [number for number in numbers if number < span][-num_spans:]


def _read(folder: Path) -> tuple[Manifest, Catalogue]:
    manifest = Manifest.load(folder)
    return manifest, Catalogue.load(folder / manifest.catalogue_file)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m benchmarks.span_gate", description="Measure what the gates see of a series.")
    parser.add_argument("series", type=user_path, help="a folder of spans")
    parser.add_argument("--num-spans", type=positive_int, default=8, help="spans of a range (default: %(default)s)")
    parser.add_argument("--last", type=positive_int, default=60, help="spans to measure (default: %(default)s)")
    return parser
