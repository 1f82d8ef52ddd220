"""Compile the pipeline for a cluster, and submit it: `python kubeflow_runner.py --help`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from data.columns import columns
from data.command import CommandParser, add_beam_option, run_command
from data.environment import prepare_environment
from data.errors import InputError
from data.user_files import user_path, write_text
from data.version import add_version_option
from pipeline.command_options import add_settings_options
from pipeline.tfx_imports import defer_cloud_extensions, without_garbage_collection

if TYPE_CHECKING:
    from pipeline.kubeflow.client import RunRequest
    from pipeline.kubeflow.connection import Connection

_CHANGES: dict[Literal["pause", "resume", "delete"], str] = {
    "pause": "paused",
    "resume": "resumed",
    "delete": "deleted; runs that it started go on",
}
_MOST_RUNS = 200


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = CommandParser(
        prog="kubeflow_runner.py",
        description="Compile the pipeline for Kubeflow Pipelines or Vertex AI, and submit it to a cluster.",
        epilog="Exit codes: 0 done; 2 something given can't be used, or the cluster refuses it or can't be reached.",
    )
    add_version_option(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    compiling = commands.add_parser("compile", help="write the file that a cluster runs")
    add_settings_options(compiling, no_config="the release's own", no_release="the configuration's")
    compiling.add_argument("--image", required=True, metavar="REPO/IMAGE:TAG", help="the image of this project")
    compiling.add_argument("--backend", choices=["kfp", "vertex"], default="kfp", help="default: %(default)s")
    compiling.add_argument(
        "--pipeline-root", type=_uri, metavar="URI", help="where artifacts go (default: the configuration's)"
    )
    compiling.add_argument(
        "--output", required=True, type=user_path, metavar="FILE", help=".yaml for kfp, .json for vertex"
    )

    submitting = commands.add_parser("submit", help="start a run of a compiled file")
    _add_run_options(submitting)
    submitting.add_argument("--span", type=int, metavar="N", help="the span to learn from (default: the next one)")
    submitting.add_argument("--wait", action="store_true", help="wait until the run has ended, and fail if it fails")

    storing = commands.add_parser("upload", help="store a compiled file on the cluster, or a version of it, for others")
    _add_file(storing)
    storing.add_argument("--name", help="of the pipeline (default: its own)")
    storing.add_argument("--version-name", metavar="NAME", help="default: the first letters of the file's SHA-256")
    _add_connection(storing)

    scheduling = commands.add_parser("schedule", help="have the cluster start runs; list, pause or delete that")
    _add_run_options(scheduling, needs_file=False)
    chosen = scheduling.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--cron", metavar="EXPRESSION", help="such as '30 4 * * *' for half past four, in UTC")
    chosen.add_argument("--every", metavar="TIME", help="30m, 6h, 1d or 1w")
    chosen.add_argument("--list", action="store_true", help="list the schedules")
    for change in _CHANGES:
        chosen.add_argument(f"--{change}", metavar="ID", help=f"{change} a schedule")

    listing = commands.add_parser("runs", help="list the last runs")
    listing.add_argument("--experiment", metavar="NAME", help="only those of an experiment")
    listing.add_argument("--number", type=int, default=10, metavar="N", help="how many (default: %(default)s)")
    _add_connection(listing)

    parsed = parser.parse_args(arguments)
    if parsed.command == "compile":
        if parsed.config is None and parsed.release is None and parsed.name is None:
            parser.error("--config, --release or --name is needed")
        suffixes = [".yaml", ".yml"] if parsed.backend == "kfp" else [".json"]
        if parsed.output.suffix not in suffixes:
            parser.error(f"the output for {parsed.backend} is a {suffixes[0]} file, not {parsed.output.name}")
    else:
        _check_cluster_options(parser, parsed)
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(parse_arguments(arguments)), stopped="stopped; a run that was started goes on")


def _run(options: argparse.Namespace) -> int:
    prepare_environment()
    defer_cloud_extensions()
    _COMMANDS[options.command](options)
    return 0


def _uri(text: str) -> str:
    """Refuse an empty text, as of a shell variable that is not set; the rest is checked where it is known."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the URI is empty")
    return text


def _check_cluster_options(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    parsed.host = parsed.host or os.environ.get("KF_PIPELINES_ENDPOINT")
    if parsed.host is None and not getattr(parsed, "dry_run", False):
        parser.error("--host is needed, unless for --dry-run")
    if getattr(parsed, "epochs", None) is not None and parsed.epochs < 1:
        parser.error(f"--epochs {parsed.epochs}: at least one is needed")
    if getattr(parsed, "span", None) is not None and parsed.span < 1:
        parser.error(f"--span {parsed.span}: the first is 1")
    if parsed.command == "schedule":
        starts_runs = parsed.cron is not None or parsed.every is not None
        if starts_runs and parsed.file is None:
            parser.error("--cron and --every need the FILE that `compile` wrote")
        if not starts_runs and (parsed.file is not None or parsed.dry_run):
            parser.error("a FILE and --dry-run are for --cron and --every alone")
    if parsed.command == "runs" and not 1 <= parsed.number <= _MOST_RUNS:
        parser.error(f"--number {parsed.number}: from 1 to {_MOST_RUNS}")


def _add_run_options(parser: argparse.ArgumentParser, *, needs_file: bool = True) -> None:
    _add_file(parser, needed=needs_file)
    parser.add_argument("--experiment", default="Default", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--run-name", metavar="NAME", help="default: the file's name")
    parser.add_argument("--pipeline-root", type=_uri, metavar="URI", help="default: the one that was compiled in")
    parser.add_argument(
        "--data-root", type=_uri, metavar="URI", help="the release's archive or folder, or generated data"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="the most epochs of training")
    add_beam_option(parser)
    parser.add_argument("--service-account", metavar="NAME", help="of Kubernetes, for the run's pods")
    parser.add_argument("--no-cache", action="store_true", help="run every task, whatever the backend has in its cache")
    _add_connection(parser)


def _add_file(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    parser.add_argument(
        "file", type=user_path, nargs=None if needed else "?", metavar="FILE", help="what `compile` wrote for kfp"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")


def _add_connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", metavar="URL", help="the API server of Kubeflow Pipelines (default: KF_PIPELINES_ENDPOINT)"
    )
    parser.add_argument("--namespace", help="the user's namespace, on a cluster with several users")
    parser.add_argument("--proxy", metavar="URL", help="default: http_proxy, https_proxy and no_proxy")
    parser.add_argument(
        "--ca-cert", type=user_path, metavar="FILE", help="trusted certificates (default: SSL_CERT_FILE)"
    )
    parser.add_argument(
        "--token-file", type=user_path, metavar="FILE", help="a bearer token (default: KF_PIPELINES_SA_TOKEN_PATH)"
    )
    parser.add_argument(
        "--cookies-file", type=user_path, metavar="FILE", help="a Cookie header (default: KF_PIPELINES_COOKIES_FILE)"
    )


def _compile(options: argparse.Namespace) -> None:
    # Imported late: TFX takes its time, and a wrong argument shouldn't have to wait for it.
    from pipeline.kubeflow_settings import check_image
    from pipeline.local import OwnData, choose_settings

    check_image(options.image)
    own = OwnData(name=options.name)
    settings = choose_settings(options.config, options.release, None, options.split, options.values, own)
    with without_garbage_collection():
        from pipeline.kubeflow.compiling import compile_pipeline

    text = compile_pipeline(settings, image=options.image, backend=options.backend, pipeline_root=options.pipeline_root)
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{options.output} can't be written: {error.strerror}", code="F02") from error
    write_text(options.output, text)
    print(f"{settings.pipeline_name} for {options.backend}: {options.output}")
    print(f"models will be published in the folder {settings.serving_name}")


def _submit(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.client import describe_request, submit, wait_for_run

    request = _request(options)
    if options.dry_run:
        _print({**describe_request(request), "namespace": options.namespace})
        return
    connection = _connection(options)
    run_id = submit(request, connection)
    print(f"run {run_id} started: {connection.host.rstrip('/')}/#/runs/details/{run_id}", flush=True)
    if options.wait:
        wait_for_run(run_id, connection)
        print(f"run {run_id} succeeded")


def _schedule(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.client import describe_request
    from pipeline.kubeflow.schedules import change_schedule, create_schedule, list_schedules, parse_cron, parse_every

    if options.cron is not None or options.every is not None:
        cron = None if options.cron is None else parse_cron(options.cron)
        interval_seconds = None if options.every is None else parse_every(options.every)
        when = f"at {cron}" if cron is not None else f"every {options.every}"
        request = _request(options)
        if options.dry_run:
            _print({**describe_request(request), "namespace": options.namespace, "when": when})
            return
        connection = _connection(options)
        schedule_id = create_schedule(request, connection, cron=cron, interval_seconds=interval_seconds)
        page = f"{connection.host.rstrip('/')}/#/recurringrun/details/{schedule_id}"
        print(f"schedule {schedule_id} starts runs {when}: {page}")
        return
    connection = _connection(options)
    if options.list:
        rows = [(one.schedule_id, one.state, one.trigger, one.name) for one in list_schedules(connection)]
        _print_rows(("schedule", "state", "starts", "name"), rows, nothing="no schedules")
        return
    for change, done in _CHANGES.items():
        schedule_id = getattr(options, change)
        if schedule_id is not None:
            change_schedule(schedule_id, change, connection)
            print(f"schedule {schedule_id} {done}")


def _list_runs(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.client import list_runs

    runs = list_runs(_connection(options), number=options.number, experiment=options.experiment)
    rows = [(run.run_id, run.state, run.created_at, run.finished_at, run.name, run.error) for run in runs]
    _print_rows(("run", "state", "created", "finished", "name", "error"), rows, nothing="no runs")


def _request(options: argparse.Namespace) -> RunRequest:
    from pipeline.kubeflow.client import RunRequest

    chosen: dict[str, Any] = {
        "data_root": options.data_root,
        "epochs": options.epochs,
        # A schedule's runs each take the next one.
        "span": getattr(options, "span", None),
        "beam_args": shlex.join(options.beam_arg) or None,
    }
    return RunRequest(
        file=options.file,
        name=options.run_name,
        experiment=options.experiment,
        pipeline_root=options.pipeline_root,
        parameters={name: value for name, value in chosen.items() if value is not None},
        service_account=options.service_account,
        caching=not options.no_cache,
    )


def _upload(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.backend_rules import check_documents
    from pipeline.kubeflow.client import read_file, upload

    if options.dry_run:
        documents = read_file(options.file)
        spec = check_documents(documents)
        _print({"name": options.name or spec.pipeline_info.name, "namespace": options.namespace, "file": documents})
        return
    stored = upload(options.file, _connection(options), name=options.name, version=options.version_name)
    print(
        f"pipeline {stored.pipeline_id}: version {stored.version} {'stored' if stored.is_new else 'is there already'}"
    )


def _connection(options: argparse.Namespace) -> Connection:
    from pipeline.kubeflow.connection import Connection

    return Connection(
        host=options.host,
        namespace=options.namespace,
        proxy=options.proxy,
        certificates=options.ca_cert,
        token_file=options.token_file,
        cookies_file=options.cookies_file,
    )


def _print(content: dict[str, Any]) -> None:
    import yaml

    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), end="")


def _print_rows(header: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    print(columns([header, *rows], "l", indent=0) if rows else nothing)


_COMMANDS = {"compile": _compile, "submit": _submit, "upload": _upload, "schedule": _schedule, "runs": _list_runs}


if __name__ == "__main__":
    sys.exit(main())
