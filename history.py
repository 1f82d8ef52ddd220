"""List earlier runs, delete what nothing needs of them, and forget a user: `python history.py list`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    from pipeline.housekeeping.forgetting import Holdings

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
    forgetting.add_argument(
        "--requests",
        action="append",
        type=user_path,
        default=[],
        metavar="FOLDER",
        help="a request log to look into too, as serve.py --request-log names it; may be given several times",
    )
    forgetting.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
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
        carry_out = _delete if options.command == "gc" else _forget
        if options.dry_run:
            carry_out(found, options)
        else:
            with only_run_in(work_dir):
                carry_out(found, options)
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


def _forget(found: list[Path], options: argparse.Namespace) -> None:
    from data.request_log.forgetting import find_records, forget_records
    from data.spans.forgetting import tidy_up_spans
    from pipeline.housekeeping.deletion import bring_up_to_date
    from pipeline.housekeeping.forgetting import find_holdings, forget

    # All is read before anything is changed.
    logs = {folder: find_records(folder, options.user) for folder in options.requests}
    for metadata in () if options.dry_run else found:
        bring_up_to_date(metadata)
        tidy_up_spans(metadata.parents[2] / "data" / metadata.parent.name)
    kept = {metadata: find_holdings(metadata, options.user) for metadata in found}
    if not logs and not any(holdings.has_spans or holdings.looked_into for holdings in kept.values()):
        raise InputError(
            f"{found[0].parents[2]} holds no spans, no batch answers and no last histories, and examples hold no user "
            f"ids: take user {options.user} out of your own files, and run again",
            code="R09",
        )
    for metadata, holdings in kept.items():
        print("\n  ".join([metadata.parent.name, *_told(holdings, options)]))
        if not options.dry_run:
            forget(metadata, options.user, holdings)
    for folder, records in logs.items():
        print(
            f"request log {folder}\n  {_counted(len(records.requests), 'request')} of user {options.user}, with "
            f"{_counted(records.feedback, 'record')} of feedback, {_done(options, 'taken out')}"
        )
        if records.nameless:
            print(f"  {_counted(records.nameless, 'request')} without a user: whose they are can't be told")
        if not options.dry_run:
            forget_records(folder, records)
    if not logs:
        print("no request log is named by --requests, and none was looked into")


def _told(holdings: Holdings, options: argparse.Namespace) -> Iterator[str]:
    """Yield lines about what a pipeline holds of a user: before it is carried out, when all of it can still be told."""
    user = f"user {options.user}"
    if holdings.spans:
        events = _counted(sum(holdings.spans.values()), "event")
        yield f"{events} of {user} {_done(options, 'taken out')} of spans {_listed(holdings.spans)}"
    elif holdings.has_spans:
        yield f"no span holds events of {user}"
    if holdings.examples:
        again = f"; read again: spans {_listed(holdings.again)}" if holdings.again else ""
        yield f"{_counted(len(holdings.examples), 'copy of a span', 'copies of spans')} that earlier runs read " + (
            f"{_done(options, 'deleted')}{again}"
        )
    for things, name in ((holdings.answers, "file of batch answers"), (holdings.histories, "file of last histories")):
        if things:
            files = _counted(len(things), name, name.replace("file", "files"))
            yield f"{files} {_done(options, 'written')} without {user}"
    for versions, whom in ((holdings.versions, user), (holdings.others, "users who were forgotten before")):
        if versions:
            served = [version.name for version in versions if version in holdings.served]
            cold = f" ({served[0]} is served: the next training is cold)" if served else ""
            yield f"published versions that learned from {whom}: {_listed(version.name for version in versions)}{cold}"
    if not holdings.has_spans:
        yield f"its examples hold no user ids: take {user} out of your own files too, and run again"


def _done(options: argparse.Namespace, what: str) -> str:
    return f"would be {what}" if options.dry_run else what


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things))


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


def _counted(count: int, thing: str, things: str | None = None) -> str:
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"


def _above_zero(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
