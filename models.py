"""See, compare and roll back published models: `python models.py list`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from data.columns import columns
from data.command import CommandParser, print_json, run_command
from data.errors import InputError
from data.full_disk import disk_full, is_disk_full
from data.user_files import user_path
from data.version import add_version_option
from pipeline.defaults import DEFAULT_SERVING
from serving.versions import RESTORED_FROM, published_versions, read_publication, roll_back, version_folders

_UNKNOWN = "unknown"
_SHORT_DIGEST = 12
_SHOWN_DIGITS = 6
_LISTED_METRIC = "recall_at_10"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = CommandParser(
        prog="models.py",
        description="See, compare and roll back published models.",
        epilog="Exit codes: 0 done; 2 something given can't be used.",
    )
    add_version_option(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|show|rollback")
    common = CommandParser(add_help=False)
    common.add_argument(
        "--serving",
        type=user_path,
        default=DEFAULT_SERVING,
        metavar="DIR",
        help="a pipeline's folder of versions, or a folder of such folders (default: runs/serving)",
    )
    common.add_argument("--pipeline", metavar="NAME", help="which of the folders, if there are several")
    listing = commands.add_parser("list", parents=[common], help="all versions with their lineage, a line each")
    showing = commands.add_parser("show", parents=[common], help="one version: lineage, metrics, settings")
    showing.add_argument("version", type=int, nargs="?", help="default: the newest, which is served")
    for command in (listing, showing):
        command.add_argument("--json", action="store_true", help="answer in JSON")
    back = commands.add_parser("rollback", parents=[common], help="publish an earlier version again, as the newest")
    back.add_argument("version", type=int)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(parse_arguments(arguments)))


def _run(options: argparse.Namespace) -> int:
    try:
        pipelines = find_pipelines(options.serving, options.pipeline)
        if options.command == "list":
            _list(pipelines, as_json=options.json)
        elif options.command == "show":
            _show(_only(pipelines), options.version, as_json=options.json)
        else:
            _roll_back(_only(pipelines), options.version)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(error.filename or options.serving) from error
        if isinstance(error, shutil.Error):
            # The faults of a whole tree, each with what it says; the first stands for all.
            place, _, reason = error.args[0][0]
            raise InputError(f"{place} can't be used: {reason}", code="M10") from error
        if error.filename is None:
            raise
        raise InputError(f"{error.filename} can't be used: {error.strerror or error}", code="M10") from error
    return 0


def find_pipelines(serving: Path, name: str | None) -> list[Path]:
    """Return the folders of versions to work on, at least one.

    Parameters
    ----------
    serving
        A folder of versions, or one of such folders.
    name
        The only one wanted; None for all.

    Raises
    ------
    InputError
        Nothing is published there.
    """
    found = [serving] if published_versions(serving) else version_folders(serving)
    if not found:
        raise InputError(
            f"no model is published in {serving}: run local_runner.py first, or name another --serving", code="M01"
        )
    wanted = [folder for folder in found if name in (None, folder.name)]
    if not wanted:
        raise InputError(f"{serving} holds no pipeline {name!r}: it holds {_names(found)}", code="M02")
    return wanted


def _only(pipelines: list[Path]) -> Path:
    if len(pipelines) > 1:
        raise InputError(f"say which with --pipeline: {_names(pipelines)}", code="A08")
    return pipelines[0]


def _names(folders: list[Path]) -> str:
    return ", ".join(folder.name for folder in folders)


def _list(pipelines: list[Path], *, as_json: bool) -> None:
    if as_json:
        publications = {
            folder.name: [read_publication(folder / str(version)) for version in published_versions(folder)]
            for folder in pipelines
        }
        print_json(json.dumps(publications, indent=2))
        return
    for folder in pipelines:
        print(folder.name)
        rows: list[tuple[str, ...]] = [("version", "published", "model", "data", "source", "recall@10", "")]
        versions = published_versions(folder)
        rows += [
            _row(version, read_publication(folder / str(version)), served=version == versions[-1])
            for version in versions
        ]
        print(columns(rows, "l"))


def _row(version: int, publication: dict[str, Any], *, served: bool) -> tuple[str, ...]:
    metrics = publication.get("metrics")
    recall = metrics.get(_LISTED_METRIC) if isinstance(metrics, dict) else None
    notes = ["served"] if served else []
    if RESTORED_FROM in publication:
        notes.append(f"restored from {publication[RESTORED_FROM]}")
    return (
        str(version),
        str(publication.get("published_at", _UNKNOWN)),
        *(
            str(publication.get(key) or _UNKNOWN)[:_SHORT_DIGEST]
            for key in ("model_digest", "manifest_digest", "source_digest")
        ),
        f"{recall:.4f}" if isinstance(recall, float) else _UNKNOWN,
        ", ".join(notes),
    )


def _show(folder: Path, version: int | None, *, as_json: bool) -> None:
    versions = published_versions(folder)
    version = versions[-1] if version is None else version
    if version not in versions:
        raise InputError(f"{folder} holds no version {version}: it holds {', '.join(map(str, versions))}", code="M03")
    publication = read_publication(folder / str(version))
    if as_json:
        print_json(json.dumps(publication, indent=2))
        return
    print(f"version {version} of {folder.name}{', served' if version == versions[-1] else ''}")
    lines = {
        "published": publication.get("published_at"),
        "restored from": publication.get(RESTORED_FROM),
        "model digest": publication.get("model_digest"),
        "data digest": publication.get("manifest_digest"),
        "source digest": publication.get("source_digest"),
        "code version": publication.get("code_version"),
        "commit": publication.get("commit"),
    }
    for name, value in lines.items():
        if value is not None or name != "restored from":
            print(f"  {name:<14} {value or _UNKNOWN}")
    for name in ("metrics", "settings"):
        print(f"  {name}")
        text = yaml.safe_dump(_rounded(publication.get(name, _UNKNOWN)), sort_keys=False).removesuffix("...\n")
        print("".join(f"    {line}\n" for line in text.splitlines()), end="")


def _rounded(content: Any) -> Any:
    """Return content with its floats rounded for reading."""
    if isinstance(content, dict):
        return {name: _rounded(value) for name, value in content.items()}
    return round(content, _SHOWN_DIGITS) if isinstance(content, float) else content


def _roll_back(folder: Path, version: int) -> None:
    new = roll_back(folder, version, note=lambda line: print(line, file=sys.stderr))
    print(f"version {new} of {folder.name} is served now: it is version {version} again")


if __name__ == "__main__":
    sys.exit(main())
