"""List earlier runs, delete what nothing needs of them, and forget a user: `python history.py list`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from data.columns import columns
from data.command import CommandParser, print_json, run_command
from data.errors import InputError
from data.user_files import check_work_dir, user_path
from data.version import add_version_option
from pipeline.defaults import DEFAULT_WORK_DIR, METADATA_FILE

if TYPE_CHECKING:
    from pipeline.housekeeping.deletion import Plan

KEEP_RUNS = 20
"""As many as a report's history shows."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = CommandParser(
        prog="history.py",
        description="List the runs of a work directory, delete what nothing needs of them, and forget a user.",
        epilog="Exit codes: 0 done; 2 something given can't be used.",
    )
    add_version_option(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|gc|forget")
    common = CommandParser(add_help=False)
    common.add_argument(
        "--work-dir",
        type=user_path,
        default=DEFAULT_WORK_DIR,
        metavar="DIR",
        help="where local_runner.py writes (default: %(default)s)",
    )
    common.add_argument("--pipeline", metavar="NAME", help="which pipeline's runs (default: those of all)")
    listing = commands.add_parser("list", parents=[common], help="runs with their decision, version and size")
    listing.add_argument("--json", action="store_true", help="answer in JSON")
    deleting = commands.add_parser("gc", parents=[common], help="delete old runs, and what nothing needs of them")
    deleting.add_argument(
        "--keep-runs",
        type=_above_zero,
        default=KEEP_RUNS,
        metavar="N",
        help="the newest runs of a pipeline, which stay (default: %(default)s)",
    )
    deleting.add_argument(
        "--older-than", type=_above_zero, metavar="DAYS", help="of the others, delete those that are older alone"
    )
    deleting.add_argument("--dry-run", action="store_true", help="say what would be deleted, and change nothing")
    forgetting = commands.add_parser("forget", parents=[common], help="take a user's events out of what is kept")
    forgetting.add_argument("--user", required=True, metavar="ID", help="as in the ratings or interactions")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(
        lambda: _run(parse_arguments(arguments)),
        stopped="stopped; start again to go on with the rest",
    )


def _run(options: argparse.Namespace) -> int:
    # Artifacts are recorded by absolute paths without links.
    work_dir = options.work_dir.resolve()
    found = find_metadata(work_dir, options.pipeline)
    if options.command == "list":
        _list(found, as_json=options.json)
        return 0
    check_work_dir(work_dir)
    # Imported late, as all that reads metadata: wrong arguments are answered at once.
    from pipeline.error_messages import describe_failure
    from pipeline.run_lock import only_run_in

    try:
        if options.command == "gc" and options.dry_run:
            _delete(found, options)
        else:
            with only_run_in(work_dir):
                if options.command == "gc":
                    _delete(found, options)
                else:
                    _forget(found, work_dir, options)
    except OSError as error:
        reason = describe_failure(error, work_dir)
        raise InputError(reason.message, code=reason.code) from error
    return 0


def find_metadata(work_dir: Path, pipeline: str | None) -> list[Path]:
    """Return the metadata of the pipelines that ran in a work directory, by name, at least one.

    Parameters
    ----------
    work_dir
        Where `local_runner.py` writes.
    pipeline
        The only one wanted; None for all.

    Raises
    ------
    InputError
        None ran there.
    """
    found = sorted((work_dir / "pipelines").glob(f"*/{METADATA_FILE}"))
    if not found:
        raise InputError(f"nothing ran in {work_dir} yet: run local_runner.py, or name another --work-dir", code="S08")
    wanted = [path for path in found if pipeline in (None, path.parent.name)]
    if not wanted:
        names = ", ".join(path.parent.name for path in found)
        raise InputError(f"no pipeline {pipeline!r} ran in {work_dir}: take one of {names}", code="S08")
    return wanted


def _list(found: list[Path], *, as_json: bool) -> None:
    from pipeline.housekeeping.listing import list_runs, size_of_pipeline
    from pipeline.housekeeping.run_graph import read_run_graph

    graphs = {metadata.parent.name: read_run_graph(metadata) for metadata in found}
    if as_json:
        answer = {name: [run.as_dict() for run in list_runs(graph)] for name, graph in graphs.items()}
        print_json(json.dumps(answer, indent=2))
        return
    for name, graph in graphs.items():
        whole, metadata_size = size_of_pipeline(graph)
        deleted = sum(run.deleted for run in graph.runs)
        told = f"; deleted: {_counted(deleted, 'run')}" if deleted else ""
        print(f"{name}: {in_words(whole)}, {in_words(metadata_size)} of it metadata{told}")
        rows = [("run", "decision", "version", "size")]
        for run in list_runs(graph):
            version = "" if run.version is None else f"{run.version}{'' if run.version_is_there else ' (removed)'}"
            rows.append((run.run, run.decision, version, in_words(run.bytes)))
        print(columns(rows, "lllr"))


def _delete(found: list[Path], options: argparse.Namespace) -> None:
    from pipeline.housekeeping.deletion import bring_up_to_date, delete, plan_deletion

    older_than = None if options.older_than is None else timedelta(days=options.older_than)
    now = datetime.now(timezone.utc)
    for metadata in found:
        if not options.dry_run:
            bring_up_to_date(metadata)
        plan = plan_deletion(metadata, keep_runs=options.keep_runs, older_than=older_than, now=now)
        _tell(plan, verb="would be deleted" if options.dry_run else "deleted")
        if not options.dry_run:
            delete(plan)


def _tell(plan: Plan, *, verb: str) -> None:
    """Print what a plan is about: before it is carried out, when the sizes can still be told."""
    name, stays = plan.metadata.parent.name, _counted(len(plan.retention.kept), "run")
    if not plan.runs and not plan.whole and not plan.bare:
        print(f"{name}: nothing to delete; {stays} {'stays' if len(plan.retention.kept) == 1 else 'stay'}")
        return
    print(f"{name}: {_counted(len(plan.runs), 'run')} {verb}, {in_words(plan.bytes)}; {stays} kept")
    for run in plan.runs:
        print(f"  {run.name}")
    kept: Counter[str] = plan.kept
    if kept:
        listed = ", ".join(f"{count} {reason}" for reason, count in kept.items())
        print(f"  artifacts of deleted runs that stay: {listed}")
    for path in plan.passed_over:
        print(f"  left as it is, since it is a link or lies behind one: {path}")


def _forget(found: list[Path], work_dir: Path, options: argparse.Namespace) -> None:
    from data.spans.forgetting import forget_user

    data = [work_dir / "data" / metadata.parent.name for metadata in found]
    series = [folder for folder in data if any(folder.glob("span-*"))]
    if not series:
        raise InputError(
            f"{work_dir} holds no spans, and examples hold no user ids: "
            f"take user {options.user} out of your own files, and run again",
            code="R09",
        )
    for folder in series:
        forgotten = forget_user(folder, options.user)
        if not forgotten.spans:
            print(f"{folder.name}: no span holds events of user {options.user}")
            continue
        spans = ", ".join(map(str, forgotten.spans))
        print(
            f"{folder.name}: {_counted(forgotten.events, 'event')} of user {options.user} taken out of spans {spans}\n"
            "  Artifacts and models of earlier runs still hold what was learned from them: to train without the user, "
            f"copy {folder} into the data/ of a new work directory, and run there."
        )


def in_words(size: int) -> str:
    """Return a number of bytes in the largest unit of which there is at least one.

    Examples
    --------
    >>> in_words(999), in_words(1_250_000)
    ('999 B', '1.2 MB')
    """
    amount, unit = float(size), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _above_zero(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
