"""Run the whole pipeline on this machine: `python local_runner.py`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from data.command import EXIT_FAILED, CommandParser, add_beam_option, run_command
from data.environment import prepare_environment
from data.errors import InputError
from data.user_files import check_work_dir, user_path
from data.version import add_version_option
from pipeline.command_options import add_settings_options
from pipeline.defaults import DEFAULT_WORK_DIR
from pipeline.tfx_imports import defer_cloud_extensions

EXIT_NOT_PUBLISHED = 3


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = CommandParser(
        prog="local_runner.py",
        description="Train, judge and publish a next-movie model on this machine.",
        epilog="Exit codes: 0 published, or published before, or no span to learn from; 2 something given can't be "
        "used; 3 the model, or with --next-span the span, was refused; 1 a step failed. "
        "A run goes on without a reader of its output.",
    )
    add_version_option(parser)
    add_settings_options(
        parser, no_config="the release's own", no_release="ml-1m if it is cached or can be downloaded, else sample"
    )
    parser.add_argument(
        "--source", type=user_path, metavar="ZIP_OR_FOLDER", help="the release's archive or folder, if you have it"
    )
    parser.add_argument(
        "--interactions",
        metavar="FILES",
        help="files of your own interactions, in place of a release: a path, a pattern or an address such as "
        "s3://bucket/events/*.parquet (CSV, TSV, Parquet or JSON lines)",
    )
    parser.add_argument("--items", metavar="FILES", help="files of your own items, if you have them")
    parser.add_argument(
        "--work-dir",
        type=user_path,
        default=DEFAULT_WORK_DIR,
        help="where everything is written (default: %(default)s)",
    )
    spans = parser.add_mutually_exclusive_group()
    spans.add_argument(
        "--next-span",
        action="store_true",
        help="learn from the next span of data, if there is one",
    )
    spans.add_argument("--span", type=int, metavar="N", help="learn from this span")
    parser.add_argument("--from-node", metavar="ID", help="run this step and what follows; take the rest from before")
    parser.add_argument("--no-cache", action="store_true", help="run every step, changed or not")
    add_beam_option(parser)
    parser.add_argument("--verbose", action="store_true", help="show what the libraries log")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(
        lambda: _run(parse_arguments(arguments)),
        stopped="stopped; start again to go on after the last finished step",
        outlives_reader=True,
    )


def _run(options: argparse.Namespace) -> int:
    check_work_dir(options.work_dir)
    prepare_environment(verbose=options.verbose)
    defer_cloud_extensions()
    # Imported late: TFX takes its time, and a wrong argument shouldn't have to wait for it.
    from pipeline.local import StepFailedError, run_locally

    try:
        if options.next_span or options.span is not None:
            return _run_span(options)
        published = run_locally(
            **_given(options), work_dir=options.work_dir, from_node=options.from_node, use_cache=not options.no_cache
        )
    except StepFailedError as error:
        print(f"error: {error} (--verbose shows all of it) [{error.code}]", file=sys.stderr)
        return EXIT_FAILED
    return 0 if published else EXIT_NOT_PUBLISHED


def _run_span(options: argparse.Namespace) -> int:
    from pipeline.rolling.day import run_span

    if options.from_node is not None:
        raise InputError("--from-node is for data without spans: a span's run goes on by itself", code="A11")
    done = run_span(options.span, **_given(options), work_dir=options.work_dir, use_cache=not options.no_cache)
    return 0 if done else EXIT_NOT_PUBLISHED


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return what both kinds of runs take from the command line."""
    from pipeline.local import OwnData

    return {
        "config": options.config,
        "release": options.release,
        "source": options.source,
        "own": OwnData(options.interactions, options.items, options.name),
        "split": options.split,
        "values": options.values,
        "beam_args": options.beam_arg,
        "verbose": options.verbose,
    }


if __name__ == "__main__":
    sys.exit(main())
