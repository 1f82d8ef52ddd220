"""What the audit measures under every split: `python -m benchmarks.audit --release ml-latest-small`.

The pipeline runs once for each split, and the figures stand side by side, as in `docs/audit.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import markdown_table
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.splits import SPLIT_CHOICES, SPLIT_NAMES, spelt, unspelt
from data.user_files import user_path
from pipeline.tfx_imports import defer_cloud_extensions

if TYPE_CHECKING:
    from components.audit.figures import AuditResult


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 for something that can't be used."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    defer_cloud_extensions()
    audits = {split: audit_split(split, options) for split in options.splits}
    print(markdown_table(["figure", *map(spelt, audits)], figure_rows(audits)))
    for split, audit in audits.items():
        for finding in audit.findings:
            print(f"\n{spelt(split)}: {finding.sentence}")


def audit_split(split: str, options: argparse.Namespace) -> AuditResult:
    """Run the pipeline under a split, its output on standard error, and return what the audit measured."""
    from pipeline.local import choose_settings, run_locally
    from pipeline.runs.record import read_run_record

    chosen: dict[str, Any] = {
        "config": options.config,
        "release": options.release,
        "source": options.source,
        "split": split,
        "values": options.set,
    }
    with contextlib.redirect_stdout(sys.stderr):
        run_locally(**chosen, work_dir=options.work_dir)
        settings = choose_settings(**chosen)
    metadata = options.work_dir / "pipelines" / settings.pipeline_name / "metadata.sqlite"
    audit = read_run_record(str(metadata.resolve()), settings.model_gate).audit
    if audit is None:
        raise RuntimeError("the run has no audit")
    return audit


def figure_rows(audits: Mapping[str, AuditResult]) -> list[list[str]]:
    """Return a row for each figure: its name, and its value under each split."""
    by_split = [
        _flat({"data": audit.data.model_dump(), "answers": audit.behaviour.model_dump()}) for audit in audits.values()
    ]
    names = dict.fromkeys(name for figures in by_split for name in figures)
    return [[name, *(_spelt_figure(figures.get(name)) for figures in by_split)] for name in names]


def _flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name} ")
        elif not isinstance(value, list):
            flat[f"{prefix}{name}"] = value
    return flat


def _spelt_figure(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", required=True, help="the MovieLens release, or `sample`")
    parser.add_argument("--source", type=user_path, metavar="ZIP_OR_FOLDER", help="the release, if you have it")
    parser.add_argument(
        "--splits",
        type=unspelt,
        nargs="+",
        default=list(SPLIT_NAMES),
        metavar="SPLIT",
        help=f"{SPLIT_CHOICES} (default: all)",
    )
    parser.add_argument("--config", metavar="NAME_OR_FILE", help="the configuration (default: the release's own)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a setting, as in local_runner.py",
    )
    parser.add_argument(
        "--work-dir", type=user_path, default=Path("runs/benchmarks"), help="where it runs (default: %(default)s)"
    )
    return parser
