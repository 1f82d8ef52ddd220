"""The first task of a run on a cluster that learns from spans: it finds the span, and hands it to those that follow."""

import shlex
import shutil
import tempfile
from pathlib import Path

from tfx import v1 as tfx

from components.artifacts import DataSource, GeneratedData
from components.ingestion.data_generator import check_given
from components.ingestion.example_gen import describe_examples
from components.local_paths import local_path
from components.naming import ABSENT, SPAN_PROPERTY, SPANS_PROPERTY
from components.spans.choosing import check_histories, choose_span
from components.spans.ledger import SpanRecord, accepted, decided, keep_record, read_ledger
from data.environment import temporary_folder
from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.schema import write_schema
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.span_settings import SpanSettings
from data.spans.series import list_spans, span_folder
from data.spans.writing import NOT_DECIDING, write_spans


@tfx.dsl.components.component
def NextSpan(  # noqa: N802
    data: tfx.dsl.components.OutputArtifact[GeneratedData],
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    before: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Examples],
    options: tfx.dsl.components.Parameter[str],
    spans: tfx.dsl.components.Parameter[str],
    series: tfx.dsl.components.Parameter[str],
    ledger: tfx.dsl.components.Parameter[str],
    num_spans: tfx.dsl.components.Parameter[int],
    drift_tolerance: tfx.dsl.components.Parameter[float],
    span: tfx.dsl.components.Parameter[int],
    beam_args: tfx.dsl.components.Parameter[str] = "",
    last_histories: tfx.dsl.components.Parameter[int] = 0,
    source: tfx.dsl.components.InputArtifact[DataSource] = None,
) -> None:
    """Write the span that is learned from next, its schema, and what the accepted spans before it hold.

    The property `span` of `data` is its number, and 0 where there is nothing to do, which is said: then no task
    follows. `options` is a `GenerateOptions` and `spans` a `SpanSettings` as JSON. `series` is the folder of spans,
    unless `source` holds spans; a release there, or the one in the options, is cut into `series` where the settings say
    so. `ledger` is the folder of what became of spans. `before` has manifest and catalogue of the last `num_spans`
    accepted spans, which is what the span gate reads. `span` is the number that is asked for, 0 for the next one.
    `last_histories` is how many of a user's last movies `BatchRecommender` asks with; 0 where there is no such step.
    """
    wanted = GenerateOptions.model_validate_json(options)
    given = local_path(source.uri) if source is not None else None
    if given is not None and not given.exists():
        raise InputError(
            "the data source is empty: nothing lies at the URI that the run names as its data root", code="G09"
        )
    found = series_of(given, Path(series))
    _cut_first_file(
        wanted, SpanSettings.model_validate_json(spans), found, given, shlex.split(beam_args), last_histories
    )
    records = read_ledger(Path(ledger))
    chosen = choose_span(found, decided(records), span or None, lambda line: print(line, flush=True))
    data.set_int_custom_property(SPAN_PROPERTY, chosen or 0)
    if chosen is None:
        before.set_int_custom_property(ABSENT, 1)
        return
    folder = span_folder(found, chosen)
    manifest = Manifest.load(folder)
    check_given(manifest, wanted.model_copy(update={name: getattr(manifest.options, name) for name in NOT_DECIDING}))
    earlier = present(found, accepted(records, before=chosen, most=num_spans))
    if last_histories:
        check_histories(found, [chosen, *earlier[: num_spans - 1]])
    print(f"span {chosen}, {manifest.counts.train + manifest.counts.eval:,} labels", flush=True)
    shutil.copytree(folder, span_folder(local_path(data.uri), chosen))
    write_schema(
        local_path(schema.uri), manifest, Catalogue.load(folder / CATALOGUE_FILE), drift_tolerance=drift_tolerance
    )
    for number in earlier:
        target = span_folder(local_path(before.uri), number)
        target.mkdir(parents=True)
        for name in (MANIFEST_FILE, CATALOGUE_FILE):
            shutil.copyfile(span_folder(found, number) / name, target / name)
    describe_examples(before)
    before.set_string_custom_property(SPANS_PROPERTY, str(earlier))
    keep_record(Path(ledger), chosen, SpanRecord(outcome="begun", manifest_digest=manifest.digest))


def series_of(given: Path | None, series: Path) -> Path:
    """Return the folder of spans: what is given as the data source, if it holds any, else the one on the volume."""
    return given if given is not None and given.is_dir() and list_spans(given) else series


def present(series: Path, spans: list[int]) -> list[int]:
    """Return those of some spans that a series still holds; the others are said."""
    held = set(list_spans(series))
    for span in spans:
        if span not in held:
            print(f"span {span} was accepted and is gone from {series}: it is left out", flush=True)
    return [span for span in spans if span in held]


def _cut_first_file(
    options: GenerateOptions,
    spans: SpanSettings,
    series: Path,
    source: Path | None,
    beam_args: list[str],
    last_histories: int,
) -> None:
    if spans.by is None or list_spans(series) or (source is None and options.release is None):
        return
    with tempfile.TemporaryDirectory(prefix="downloads-", dir=temporary_folder()) as downloads:
        # The default cache lies in the home folder, which a container's user may not have.
        write_spans(
            options,
            series,
            by=spans.by,
            first_through=spans.first_through,
            min_labels=spans.min_labels,
            last_histories=last_histories or None,
            source=source,
            cache_dir=Path(downloads),
            beam_args=beam_args,
            progress=lambda line: print(line, flush=True),
        )
