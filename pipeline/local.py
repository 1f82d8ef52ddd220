"""One run on this machine, from the release to the published model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from components.naming import BATCH_RECOMMENDER, STEPS
from data.beam_options import DEFAULT_ARGS
from data.errors import CodedError, CodedMessage, InputError, one_line
from data.examples.manifest import Manifest
from data.examples.schema import SCHEMA_FILE, schema_of
from data.generate import generate
from data.releases.catalogue import Catalogue
from data.releases.release import available, find_release
from data.user_files import check_work_dir
from pipeline.defaults import METADATA_FILE, serving_root
from pipeline.error_messages import NO_CACHE, check_metadata, describe_failure
from pipeline.run_lock import only_run_in
from pipeline.runs.progress import progress_shown
from pipeline.settings import RunPaths, Settings, load_settings, parse_values, settings_for_own_data, with_values
from pipeline.tfx_imports import without_garbage_collection
from serving.signing import load_private_key
from serving.versions import adopt

if TYPE_CHECKING:
    from components.report.report_model import SpanDay
    from pipeline.backend import Backend
    from pipeline.runs.record import RunRecord

DEFAULT_RELEASE = "ml-1m"
FALLBACK_RELEASE = "sample"

_PROBE_SECONDS = 5.0
_NO_OTHER_WORKERS = (
    # Each step would pack TFX up for remote workers, unless they are said to have an image.
    "--sdk_container_image=none",
    # Two steps of a small pipeline take 6.3 s of CPU with it, 8.3 s with Beam's default.
    "--pickle_library=cloudpickle",
)


@dataclass(frozen=True)
class OwnData:
    """Data of a person's own: files of interactions and items, and the name of the data set."""

    interactions: str | None = None
    items: str | None = None
    name: str | None = None


NO_OWN_DATA = OwnData()


class StepFailedError(CodedError, RuntimeError):
    """A step of the pipeline failed, and not because of something that was given."""


def run_locally(
    *,
    config: str | None = None,
    release: str | None = None,
    source: Path | None = None,
    own: OwnData = NO_OWN_DATA,
    split: str | None = None,
    values: Sequence[str] = (),
    work_dir: Path,
    from_node: str | None = None,
    use_cache: bool = True,
    beam_args: Sequence[str] = (),
    verbose: bool = False,
) -> bool:
    """Run the pipeline, and print on standard output what happens.

    Parameters
    ----------
    config
        Name or file of a configuration; by default the release's own.
    release, source, own, split
        Override the configuration's. Without any data, MovieLens-1M if it can be had, else the sample.
    values
        Single settings above the configuration's, each `NAME=VALUE`.
    work_dir
        Everything is written below it.
    from_node
        Run this node and what follows it, on what the last run left.
    use_cache
        Whether steps whose inputs and code did not change are taken from the cache.
    beam_args
        Options for Beam, which override the local defaults.
    verbose
        Whether to show what the libraries log.

    Returns
    -------
    bool
        Whether the model is published, by this run or one before.

    Raises
    ------
    InputError
        Something given can't be used, or the data gate refused the data.
    StepFailedError
        A step failed otherwise.
    """
    settings = choose_settings(config, release, source, split, values, own)
    # ML Metadata remembers paths: relative ones would be lost to a run from another directory.
    work_dir = work_dir.resolve()
    check_work_dir(work_dir)
    if settings.publish.private_key is not None:
        # A key that can't be used is told of before anything is trained.
        load_private_key(Path(settings.publish.private_key))
    with only_run_in(work_dir):
        print(f"{settings.pipeline_name}, in {work_dir}", flush=True)
        data_root = work_dir / "data" / settings.pipeline_name
        manifest = generate(
            settings.data.options,
            data_root,
            source=source,
            interactions=settings.data.interactions,
            items=settings.data.items,
            last_histories=settings.last_histories,
            requests=Path(settings.data.requests).expanduser() if settings.data.requests is not None else None,
            beam_args=beam_args,
            progress=lambda line: print(f"  {line}"),
        )
        try:
            run_paths = lay_out(settings, manifest, data_root, work_dir, beam_args)
            adopt(
                Path(run_paths.serving),
                serving_root(work_dir) / settings.pipeline_name,
                note=lambda line: print(f"  {line}", flush=True),
            )
        except OSError as error:
            reason = describe_failure(error, work_dir)
            raise InputError(f"{work_dir}: {reason.message}", code=reason.code) from error
        bring_metadata_up_to_date(run_paths)
        if from_node is not None and not Path(run_paths.local_metadata).exists():
            raise InputError(
                f"--from-node {from_node}: nothing ran in {work_dir} to begin with: run without it", code="A04"
            )
        return run_graph(settings, run_paths, work_dir, from_node=from_node, use_cache=use_cache, verbose=verbose)


def bring_metadata_up_to_date(run_paths: RunPaths) -> None:
    """Refuse metadata that can't be relied on, and have them follow what was moved, copied or deleted by hand."""
    # Imported late: ML Metadata takes its time, and wrong settings are answered at once.
    from pipeline.deleted_artifacts import mark_deleted
    from pipeline.relocation import reroot

    check_metadata(Path(run_paths.local_metadata), Path(run_paths.pipeline_root))
    if reroot(run_paths.local_metadata):
        print("  moved or copied since the last run: its metadata now name the new place, and every step runs")
    if deleted := mark_deleted(run_paths.local_metadata):
        listed = ", ".join(f"{node} ({count})" for node, count in deleted.items())
        print(f"  deleted since the last run, and made anew where it is needed: artifacts of {listed}")


def choose_settings(
    config: str | None,
    release: str | None,
    source: Path | None,
    split: str | None,
    values: Sequence[str] = (),
    own: OwnData = NO_OWN_DATA,
) -> Settings:
    """Return the settings that a command line asks for.

    Parameters
    ----------
    config, release, source, split
        As for `run_locally`.
    values
        Single settings above the configuration's, each `NAME=VALUE`: see `parse_values`.
    own
        Data of a person's own, in place of a release.

    Raises
    ------
    InputError
        They don't fit together, or something named does not exist.
    """
    given = {name: value for name, value in asdict(own).items() if value is not None}
    if given and (release is not None or source is not None):
        raise InputError(
            "--interactions, --items and --name are for data of your own: leave out --release and --source", code="A10"
        )
    if given and own.name is None and config is None:
        raise InputError("--name is missing: data of your own have a name", code="A10")
    if source is not None and release is None and config is None:
        raise InputError(f"--source {source} needs --release, to say which MovieLens release it is", code="A03")
    overrides: dict[str, Any] = {}
    if release is not None:
        overrides["release"] = find_release(release).name
    if split is not None:
        overrides["split"] = split
    if given:
        overrides |= {"release": None, **given}
    if given and config is None:
        settings = settings_for_own_data(overrides)
        return with_values(settings, parse_values(values)) if values else settings
    if config is None and release is None:
        release = DEFAULT_RELEASE
        if not available(DEFAULT_RELEASE, timeout=_PROBE_SECONDS):
            release = FALLBACK_RELEASE
            print(f"{DEFAULT_RELEASE} is neither cached nor to be downloaded from here: running the generated sample")
    settings = load_settings(config or release or DEFAULT_RELEASE, overrides)
    return with_values(settings, parse_values(values)) if values else settings


def lay_out(
    settings: Settings, manifest: Manifest, data_root: Path, work_dir: Path, beam_args: Sequence[str] = ()
) -> RunPaths:
    """Return where a local run reads and writes, and write its schema there.

    Parameters
    ----------
    settings, manifest
        The run's settings, and the manifest of its data.
    data_root
        The folder of the shards.
    work_dir
        Everything else lies below it.
    beam_args
        Options for Beam, which override the local defaults.
    """
    home = work_dir / "pipelines" / settings.pipeline_name
    return RunPaths(
        data_root=str(data_root),
        schema_file=str(_place_schema(home / "schema", manifest, data_root)),
        pipeline_root=str(home / "artifacts"),
        serving=str(serving_root(work_dir) / settings.serving_name),
        metadata=str(home / METADATA_FILE),
        manifest_digest=manifest.digest,
        beam_args=_beam_arguments(beam_args),
    )


def _beam_arguments(own: Sequence[str]) -> tuple[str, ...]:
    """Return the local options for Beam and a run's own; those about workers are left out with another runner."""
    elsewhere = any(argument.startswith("--runner") for argument in own)
    return (*DEFAULT_ARGS, *(() if elsewhere else _NO_OTHER_WORKERS), *own)


def _place_schema(folder: Path, manifest: Manifest, data_root: Path) -> Path:
    """Write the schema below a folder named by its digest, and return its path: TFX's cache compares paths."""
    catalogue = Catalogue.load(data_root / manifest.catalogue_file)
    text = text_format.MessageToString(schema_of(manifest, catalogue))
    path = folder / hashlib.sha256(text.encode()).hexdigest()[:16] / SCHEMA_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def run_graph(
    settings: Settings,
    run_paths: RunPaths,
    work_dir: Path,
    *,
    backend: Callable[[], Backend] | None = None,
    days: Callable[[RunRecord, CodedMessage | None], list[SpanDay]] = lambda *_: [],
    from_node: str | None = None,
    use_cache: bool = True,
    verbose: bool = False,
) -> bool:
    """Run the pipeline's graph, print a summary and write the page; return whether the model is published.

    Parameters
    ----------
    settings, run_paths, work_dir, from_node, use_cache, verbose
        As for `run_locally`, and what `lay_out` returned.
    backend
        Makes what depends on the kind of data, once TFX is loaded; by default that of data that stand for themselves.
    days
        Returns what is known of all spans, given the run's record and why it ended early, if it did.

    Raises
    ------
    InputError, StepFailedError
        As for `run_locally`.
    """
    known = (*STEPS, BATCH_RECOMMENDER) if settings.batch_answers.enabled else STEPS
    if from_node is not None and from_node not in known:
        raise InputError(f"there is no step {from_node!r}: take one of {', '.join(known)}", code="A05")
    print("  loading TFX, which takes some 10 seconds ...", flush=True)
    with without_garbage_collection():
        from tfx.orchestration.pipeline import RunOptions

        from pipeline.partial_run import FreshNodeRunner, check_earlier_steps
        from pipeline.pipeline import create_pipeline, nodes_to_start
        from pipeline.runs.index import INDEX_FILE
        from pipeline.runs.record import read_run_record
        from pipeline.runs.report import write_local_report
        from pipeline.runs.summary import print_summary

    graph = create_pipeline(settings, run_paths, backend() if backend is not None else None)
    graph.enable_cache = use_cache
    run_options = None
    if from_node is not None:
        run_options = RunOptions(from_nodes=nodes_to_start(graph, from_node))
        check_earlier_steps(graph, run_options.from_nodes, run_paths.local_metadata)
    with progress_shown(verbose=verbose) as steps:
        try:
            FreshNodeRunner(from_node).run(graph, run_options=run_options)
        except InputError as error:
            reason = _for_the_whole_run(CodedMessage(error.message, code=error.code), from_node)
            _report_failure(settings, run_paths, steps.running, reason, days)
            raise InputError(reason.message, code=reason.code) from error
        except Exception as error:
            reason = _for_the_whole_run(describe_failure(error, work_dir, Path(run_paths.pipeline_root)), from_node)
            _report_failure(settings, run_paths, steps.running, reason, days)
            if verbose:
                raise
            raise StepFailedError(
                f"step {steps.running or '(none)'} failed: {reason.message}", code=reason.code
            ) from error
    record = read_run_record(run_paths.local_metadata, settings.model_gate, settings.compared_with)
    all_days = days(record, None)
    print_summary(record, settings.data.wording, all_days)
    try:
        # A span is written beside no request log, and the data root holds all spans.
        requests = Manifest.load(Path(run_paths.data_root)).requests if settings.rolling is None else None
        page = write_local_report(record, settings, requests=requests, days=all_days)
        print(f"\nReport\n  {page}\n  all runs: {work_dir / INDEX_FILE}")
    except OSError as error:
        reason = describe_failure(error, work_dir, Path(run_paths.pipeline_root))
        raise StepFailedError(
            f"the run is over, but its page can't be written: {reason.message}", code=reason.code
        ) from error
    return record.published is not None


def _for_the_whole_run(reason: CodedMessage, from_node: str | None) -> CodedMessage:
    """Return a reason whose remedy holds for a run that began at a later step: steps before it are not made anew."""
    if from_node is None:
        return reason
    return CodedMessage(reason.message.replace(NO_CACHE, f"{NO_CACHE} and without --from-node"), code=reason.code)


def _report_failure(
    settings: Settings,
    run_paths: RunPaths,
    step: str | None,
    reason: CodedMessage,
    days: Callable[[RunRecord, CodedMessage | None], list[SpanDay]],
) -> None:
    """Write the page about a run that failed in a step, and print its path; without a step there is no run."""
    from components.report.report_model import Failure
    from pipeline.runs.record import read_run_record
    from pipeline.runs.report import write_local_report

    if step is None:
        return
    try:
        record = read_run_record(run_paths.local_metadata, settings.model_gate, settings.compared_with)
        failure = Failure(step=step, error=reason.line)
        page = write_local_report(record, settings, failure, days=days(record, reason))
    except Exception as trouble:
        # Why the step failed matters more, and is still to be printed.
        print(f"  no report could be made: {one_line(trouble)}")
    else:
        print(f"\nReport\n  {page}\n", flush=True)
