"""One span on this machine: from what arrived to the published model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import text_format

from components.spans.choosing import check_histories, choose_span
from components.spans.ledger import REFUSALS
from data.errors import CodedMessage, InputError
from data.examples.manifest import Manifest
from data.examples.schema import SCHEMA_FILE, schema_of
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.spans.series import list_spans, revisions_of, span_folder
from data.spans.writing import write_span, write_spans
from data.user_files import check_work_dir
from pipeline.defaults import METADATA_FILE
from pipeline.local import (
    NO_OWN_DATA,
    OwnData,
    bring_metadata_up_to_date,
    choose_settings,
    lay_out,
    run_graph,
)
from pipeline.metadata_store import open_store
from pipeline.rolling.outcomes import SpanOutcome, keep_outcome, read_outcomes
from pipeline.rolling_settings import RollingPipelineSettings
from pipeline.run_lock import only_run_in
from pipeline.settings import RunPaths, Settings

if TYPE_CHECKING:
    from components.report.report_model import SpanDay
    from pipeline.backend import Backend
    from pipeline.runs.record import RunRecord


def run_span(
    number: int | None,
    *,
    config: str | None,
    work_dir: Path,
    release: str | None = None,
    source: Path | None = None,
    own: OwnData = NO_OWN_DATA,
    split: str | None = None,
    values: Sequence[str] = (),
    use_cache: bool = True,
    beam_args: Sequence[str] = (),
    verbose: bool = False,
) -> bool:
    """Learn from a span, and print on standard output what happens.

    Parameters
    ----------
    number
        The span; None for the first that none was decided about.
    config, release, source, own, split, values, work_dir, use_cache, beam_args, verbose
        As for `pipeline.local.run_locally`. What `source` or `own` name is what arrived, unless a first file is cut.

    Returns
    -------
    bool
        Whether the model is published, now or before, or there is nothing to learn from.

    Raises
    ------
    InputError
        Something given can't be used.
    StepFailedError
        A step failed.
    """
    settings = choose_settings(config, release, source, split, values, own)
    if settings.rolling is None:
        raise InputError(
            "--span and --next-span need a configuration with the settings `rolling`, such as --config rolling",
            code="A11",
        )
    work_dir = work_dir.resolve()
    check_work_dir(work_dir)
    with only_run_in(work_dir):
        print(f"{settings.pipeline_name}, in {work_dir}", flush=True)
        series = work_dir / "data" / settings.pipeline_name
        _write_what_arrived(settings, series, number, source, own, beam_args)
        metadata = work_dir / "pipelines" / settings.pipeline_name / METADATA_FILE
        outcomes = read_outcomes(open_store(str(metadata))) if metadata.is_file() else {}
        chosen = choose_span(series, outcomes, number, print)
        if chosen is None:
            return True
        manifest = Manifest.load(span_folder(series, chosen))
        if settings.batch_answers.enabled:
            accepted = [span for span, ended in outcomes.items() if ended.outcome != "refused" and span < chosen]
            check_histories(series, [*sorted(accepted), chosen][-settings.rolling.num_spans :])
        paths = _lay_out(settings, settings.rolling, manifest, series, chosen, work_dir, beam_args)
        bring_metadata_up_to_date(paths)
        print(
            f"  span {chosen} of {len(list_spans(series))}, {manifest.counts.train + manifest.counts.eval:,} labels",
            flush=True,
        )
        return _run(settings, paths, work_dir, chosen, manifest, use_cache=use_cache, verbose=verbose)


def _run(
    settings: Settings,
    paths: RunPaths,
    work_dir: Path,
    number: int,
    manifest: Manifest,
    *,
    use_cache: bool,
    verbose: bool,
) -> bool:
    assert settings.rolling is not None  # noqa: S101 - the caller has looked
    try:
        published = run_graph(
            settings,
            paths,
            work_dir,
            backend=_backend(number, settings.rolling, revisions_of(Path(paths.data_root))),
            days=partial(_days, number),
            use_cache=use_cache,
            verbose=verbose,
        )
    except InputError as error:
        if error.code not in REFUSALS:
            raise
        print(f"\nspan {number} is refused, and what was served before still is\n  {error.line}")
        ended = SpanOutcome(outcome="refused", manifest_digest=manifest.digest, reason=error.line)
        keep_outcome(open_store(paths.local_metadata), number, ended)
        return False
    ended = SpanOutcome(outcome="published" if published else "judged", manifest_digest=manifest.digest)
    keep_outcome(open_store(paths.local_metadata), number, ended)
    return published


def _days(number: int, record: RunRecord, reason: CodedMessage | None) -> list[SpanDay]:
    """Return what is known of the spans, a run's own among them, of which nothing is kept yet."""
    from pipeline.rolling.days import read_days

    if reason is not None:
        now = (
            SpanOutcome(outcome="refused", manifest_digest="", reason=reason.line) if reason.code in REFUSALS else None
        )
    else:
        now = SpanOutcome(outcome="published" if record.published is not None else "judged", manifest_digest="")
    return read_days(record.metadata_file, number, now)


def _backend(number: int, rolling: RollingPipelineSettings, revisions: Mapping[int, int]) -> Callable[[], Backend]:
    def make() -> Backend:
        # Imported late: TFX takes its time.
        from pipeline.rolling.backend import SpanBackend

        return SpanBackend(number, rolling, tuple(sorted(revisions.items())))

    return make


def _write_what_arrived(
    settings: Settings, series: Path, number: int | None, source: Path | None, own: OwnData, beam_args: Sequence[str]
) -> None:
    """Cut a first file into spans, where the settings say so, or write what the command names as the next span."""
    spans, present = settings.data.spans, list_spans(series)
    if spans is None:
        return

    def tell(line: str) -> None:
        print(f"  {line}", flush=True)

    if spans.by is not None and not present:
        write_spans(
            settings.data.options,
            series,
            by=spans.by,
            first_through=spans.first_through,
            min_labels=spans.min_labels,
            last_histories=settings.last_histories,
            source=source,
            interactions=settings.data.interactions,
            items=settings.data.items,
            beam_args=beam_args,
            progress=tell,
        )
    elif source is not None or own.interactions is not None:
        write_span(
            settings.data.options,
            series,
            number if number is not None else max(present, default=0) + 1,
            source=source,
            interactions=settings.data.interactions,
            items=settings.data.items,
            max_seen_share=spans.max_seen_share,
            max_unknown_share=spans.max_unknown_share,
            last_histories=settings.last_histories,
            beam_args=beam_args,
            progress=tell,
        )


def _lay_out(
    settings: Settings,
    rolling: RollingPipelineSettings,
    manifest: Manifest,
    series: Path,
    number: int,
    work_dir: Path,
    beam_args: Sequence[str],
) -> RunPaths:
    """Return where the run reads and writes, with a schema that tolerates more drift than data that are drawn anew."""
    paths = lay_out(settings, manifest, span_folder(series, number), work_dir, beam_args)
    text = text_format.MessageToString(
        schema_of(
            manifest,
            Catalogue.load(span_folder(series, number) / CATALOGUE_FILE),
            drift_tolerance=rolling.span_gate.drift_tolerance,
        )
    )
    file = Path(paths.schema_file).parents[1] / hashlib.sha256(text.encode()).hexdigest()[:16] / SCHEMA_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return replace(paths, data_root=str(series), schema_file=str(file))
