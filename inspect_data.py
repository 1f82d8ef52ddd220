"""Look at the examples: `python inspect_data.py show|compare|validate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.columns import columns
from data.command import CommandParser, print_json, run_command
from data.environment import prepare_environment
from data.splits import spelt
from data.user_files import user_path, write_text
from data.version import add_version_option
from pipeline.defaults import DEFAULT_WORK_DIR
from pipeline.tfx_imports import defer_cloud_extensions

if TYPE_CHECKING:
    from data.words import Words
    from pipeline.inspection.tables import Named

EXIT_ANOMALIES = 1

_WHICH = "latest, previous, a number (the runs of a pipeline, from 1) or a folder of shards"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; what it says wrong ends the process with code 2."""
    parser = CommandParser(
        prog="inspect_data.py",
        description="Show, compare and validate the statistics of the examples.",
        epilog="Exit codes: 0 done; 1 validate found anomalies; 2 something given can't be used.",
    )
    add_version_option(parser)
    commands = parser.add_subparsers(dest="command", required=True)
    common = CommandParser(add_help=False)
    common.add_argument(
        "--work-dir", type=user_path, default=DEFAULT_WORK_DIR, help="what local_runner.py wrote (default: %(default)s)"
    )
    common.add_argument("--pipeline", metavar="NAME", help="the pipeline (default: the one that ran last)")
    common.add_argument("--json", action="store_true", help="answer in JSON")
    common.add_argument("--html", type=user_path, metavar="FILE", help="write a page that needs nothing but itself")
    show = commands.add_parser("show", parents=[common], help="what the examples hold")
    show.add_argument("source", nargs="?", default="latest", help=f"{_WHICH} (default: latest)")
    compare = commands.add_parser("compare", parents=[common], help="how far two sets of examples lie apart")
    side = f"[SOURCE:]SPLIT or SOURCE, whose train split is meant; SOURCE is {_WHICH}"
    compare.add_argument("left", nargs="?", default="train", help=f"what is held against: {side} (default: train)")
    compare.add_argument("right", nargs="?", default="eval", help="what is held against it (default: eval)")
    validate = commands.add_parser("validate", parents=[common], help="what breaks the curated schema")
    validate.add_argument("source", nargs="?", default="latest", help=f"{_WHICH} (default: latest)")
    validate.add_argument("--infer", action="store_true", help="show where a schema inferred from train differs")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(parse_arguments(arguments)))


def _run(options: argparse.Namespace) -> int:
    prepare_environment()
    defer_cloud_extensions()
    return {"show": _show, "compare": _compare, "validate": _validate}[options.command](options)


def _show(options: argparse.Namespace) -> int:
    from pipeline.inspection.statistics_store import open_source

    with open_source(options.source, options.work_dir, options.pipeline) as source:
        splits = [(split, source.read_statistics(split)) for split in source.splits]
        words = source.manifest.options.wording
        if options.html is not None:
            from pipeline.inspection.page import render_inspection

            page = render_inspection(
                f"Data of {source.name}", splits, source.catalogue, words, lead=_lead(source.manifest)
            )
            _write(options.html, page)
        if options.json:
            _print_json({"source": source.name, "splits": {name: split.model_dump() for name, split in splits}})
        else:
            print(source.name)
            print(_lead(source.manifest))
            _print_splits(splits, source.catalogue, words)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from pipeline.inspection.drift import Side, compare, parse_side
    from pipeline.inspection.statistics_store import open_source

    with ExitStack() as stack:
        sources: dict[str, Any] = {}
        sides = []
        for which, split in (parse_side(options.left), parse_side(options.right)):
            if which not in sources:
                sources[which] = stack.enter_context(open_source(which, options.work_dir, options.pipeline))
            sides.append(Side(sources[which], split))
        comparison = compare(*sides)
        names = ("left", "right") if sides[0].split == sides[1].split else (sides[0].split, sides[1].split)
        splits = list(zip(names, (comparison.left_statistics, comparison.right_statistics), strict=True))
        if options.html is not None:
            from pipeline.inspection.page import render_inspection

            lead, right = f"From {comparison.left}, to {comparison.right}", sides[1].source
            page = render_inspection(
                "Data compared",
                splits,
                right.catalogue,
                right.manifest.options.wording,
                lead=lead,
                comparison=comparison,
            )
            _write(options.html, page)
        if options.json:
            _print_json(comparison.model_dump(exclude={"left_statistics", "right_statistics"}))
        else:
            _print_comparison(comparison, names)
    return 0


def _validate(options: argparse.Namespace) -> int:
    from pipeline.inspection.statistics_store import open_source
    from pipeline.inspection.validation import infer_differences, validate

    with open_source(options.source, options.work_dir, options.pipeline) as source:
        anomalies = validate(source)
        differences = infer_differences(source) if options.infer else None
        if options.html is not None:
            from pipeline.inspection.page import render_inspection

            splits = [(split, source.read_statistics(split)) for split in source.splits]
            page = render_inspection(
                f"Data of {source.name}",
                splits,
                source.catalogue,
                source.manifest.options.wording,
                lead=_lead(source.manifest),
                anomalies=anomalies,
                differences=differences,
            )
            _write(options.html, page)
        if options.json:
            answer: dict[str, Any] = {"source": source.name, "anomalies": [found.model_dump() for found in anomalies]}
            if differences is not None:
                answer["differences"] = [row.model_dump() for row in differences]
            _print_json(answer)
        else:
            print(source.name)
            for anomaly in anomalies:
                print(f"\n{anomaly.split}, {anomaly.feature}: {anomaly.kind}\n  {anomaly.reason}")
                if anomaly.example:
                    print(f"  {anomaly.example}")
            print("\nno anomalies" if not anomalies else f"\n{len(anomalies)} anomalies")
            if differences is not None:
                rows = [[row.feature, row.what, row.curated, row.inferred] for row in differences]
                _print_table("Where an inferred schema differs", [["feature", "what", "curated", "inferred"], *rows], 4)
    return EXIT_ANOMALIES if anomalies else 0


def _lead(manifest: Any) -> str:
    counts = manifest.counts
    return (
        f"{manifest.data_set}, {spelt(manifest.split)} split: {counts.ratings:,} ratings by "
        f"{counts.users:,} users, {counts.movies:,} {manifest.options.wording.many} in the catalogue"
    )


def _print_splits(splits: Named, catalogue: Any, words: Words) -> None:
    from pipeline.inspection.tables import feature_tables, overview_rows

    _print_table("Overview", [["", *(name for name, _ in splits)], *overview_rows(splits, words)])
    for kind, rows in feature_tables(splits, catalogue):
        _print_table(kind, [["feature", *rows[0]], *rows[1:]], 2)
    for name, split in splits:
        top = split.features["label_movie_id"].top(10)
        rows = [[catalogue.title_of(value), f"{times:,}", f"{share:.2%}"] for value, times, share in top]
        _print_table(f"Most frequent labels of {name}", [[words.one, "times", "share"], *rows])


def _print_comparison(comparison: Any, names: tuple[str, str]) -> None:
    print(f"from {comparison.left}\nto   {comparison.right}")
    rows = [
        [
            row.feature,
            f"{row.linf:.4f}",
            f"{row.linf_limit:.4f}",
            f"{row.js:.4f}",
            f"{row.js_limit:.4f}",
            "moved" if row.moved else "",
        ]
        for row in comparison.distances
    ]
    _print_table("Distances", [["feature", "L-infinity", "limit", "Jensen-Shannon", "limit", ""], *rows])
    for feature, reason in comparison.not_compared.items():
        print(f"  {feature} is not compared: {reason}")
    movers = [
        [row.feature if number == 0 else "", mover.value, f"{mover.left:.2%}", f"{mover.right:.2%}"]
        for row in comparison.distances
        for number, mover in enumerate(row.movers[:3])
    ]
    _print_table("What moved most", [["feature", "value", *names], *movers], 2)


def _print_table(title: str, rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print columns, the first `left` of them to the left, the others to the right."""
    print(f"\n{title}")
    print(columns(rows, "l" * left + "r"))


def _print_json(answer: dict[str, Any]) -> None:
    print_json(json.dumps(answer, indent=2, ensure_ascii=False))


def _write(path: Path, page: str) -> None:
    write_text(path, page)
    print(f"page: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
