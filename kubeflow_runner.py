"""Compile the pipeline for a cluster, and submit it: `python kubeflow_runner.py --help`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from data.command import run_command
from data.environment import prepare_environment
from data.errors import InputError
from data.user_files import user_path, write_text
from data.version import add_version_option
from pipeline.command_options import add_settings_options
from pipeline.tfx_imports import defer_cloud_extensions


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = argparse.ArgumentParser(
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

    running = commands.add_parser("submit", help="start a run of a compiled file")
    _add_target(running)
    running.add_argument("--experiment", default="Default", metavar="NAME", help="default: %(default)s")
    running.add_argument("--run-name", metavar="NAME", help="default: the file's name")
    running.add_argument("--wait", action="store_true", help="wait until the run has ended, and fail if it fails")
    running.add_argument("--pipeline-root", type=_uri, metavar="URI", help="default: the one that was compiled in")
    running.add_argument(
        "--data-root", type=_uri, metavar="URI", help="the release's archive or folder, or generated data"
    )
    running.add_argument("--epochs", type=int, metavar="N", help="the most epochs of training")
    running.add_argument(
        "--beam-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="an option for Beam, such as --beam-arg=--runner=…",
    )

    storing = commands.add_parser("upload", help="store a compiled file on the cluster, for others to run")
    _add_target(storing)
    storing.add_argument("--name", help="default: the pipeline's own")
    parsed = parser.parse_args(arguments)
    if parsed.command == "compile":
        if parsed.config is None and parsed.release is None:
            parser.error("--config or --release is needed")
        suffixes = [".yaml", ".yml"] if parsed.backend == "kfp" else [".json"]
        if parsed.output.suffix not in suffixes:
            parser.error(f"the output for {parsed.backend} is a {suffixes[0]} file, not {parsed.output.name}")
    elif parsed.host is None and not parsed.dry_run:
        parser.error("--host is needed, unless for --dry-run")
    if parsed.command == "submit" and parsed.epochs is not None and parsed.epochs < 1:
        parser.error(f"--epochs {parsed.epochs}: at least one is needed")
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


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=user_path, metavar="FILE", help="what `compile` wrote for kfp")
    parser.add_argument("--host", metavar="URL", help="the API server of Kubeflow Pipelines, or its proxy")
    parser.add_argument("--namespace", help="the user's namespace, on a cluster with several users")
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")


def _compile(options: argparse.Namespace) -> None:
    # Imported late: TFX takes its time, and a wrong argument shouldn't have to wait for it.
    from pipeline.local import choose_settings

    settings = choose_settings(options.config, options.release, None, options.split, options.values)
    from pipeline.kubeflow.compiling import compile_pipeline

    text = compile_pipeline(settings, image=options.image, backend=options.backend, pipeline_root=options.pipeline_root)
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{options.output} can't be written: {error.strerror}") from error
    write_text(options.output, text)
    print(f"{settings.pipeline_name} for {options.backend}: {options.output}")
    print(f"models will be published in the folder {settings.serving_name}")


def _submit(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.client import RunRequest, describe_request, submit

    chosen: dict[str, Any] = {
        "data_root": options.data_root,
        "epochs": options.epochs,
        "beam_args": shlex.join(options.beam_arg) or None,
    }
    request = RunRequest(
        file=options.file,
        name=options.run_name,
        experiment=options.experiment,
        namespace=options.namespace,
        pipeline_root=options.pipeline_root,
        parameters={name: value for name, value in chosen.items() if value is not None},
    )
    if options.dry_run:
        _print(describe_request(request))
        return
    run_id = submit(request, options.host, wait=options.wait)
    print(f"run {run_id} {'succeeded' if options.wait else 'started'}")


def _upload(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.backend_rules import check_documents
    from pipeline.kubeflow.client import read_file, upload

    if options.dry_run:
        documents = read_file(options.file)
        spec = check_documents(documents)
        _print({"name": options.name or spec.pipeline_info.name, "namespace": options.namespace, "file": documents})
        return
    print(f"pipeline {upload(options.file, options.host, name=options.name, namespace=options.namespace)} stored")


def _print(content: dict[str, Any]) -> None:
    import yaml

    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), end="")


_COMMANDS = {"compile": _compile, "submit": _submit, "upload": _upload}


if __name__ == "__main__":
    sys.exit(main())
