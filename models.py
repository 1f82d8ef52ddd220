"""See, compare, verify, label and roll back published models: `python models.py list`."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
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
from serving.labels import LABELS, STABLE, demote, labels_of, promote
from serving.publication import read_publication
from serving.signing import is_signed, load_private_key, load_public_key, verify_version
from serving.versions import (
    RESTORED_FROM,
    check_version,
    model_digest,
    published_versions,
    roll_back,
    version_folders,
)

_UNKNOWN = "unknown"
_SHORT_DIGEST = 12
_SHOWN_DIGITS = 6
_LISTED_METRIC = "recall_at_10"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = CommandParser(
        prog="models.py",
        description="See, compare, verify, label and roll back published models.",
        epilog="Exit codes: 0 done; 2 something given can't be used.",
    )
    add_version_option(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|show|verify|rollback|promote|demote")
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
    checking = commands.add_parser("verify", parents=[common], help="check that a version is as it was published")
    checking.add_argument("version", type=int, nargs="?", help="default: the newest, which is served")
    back = commands.add_parser("rollback", parents=[common], help="publish an earlier version again, as the newest")
    back.add_argument("version", type=int)
    for command in (checking, back):
        command.add_argument(
            "--public-key",
            type=user_path,
            metavar="FILE",
            help="refuse a version without this key's signature",
        )
    back.add_argument(
        "--private-key", type=user_path, metavar="FILE", help="sign the new version, and verify the earlier one"
    )
    promoting = commands.add_parser("promote", parents=[common], help="give a version a label")
    promoting.add_argument("version", type=int)
    promoting.add_argument("--label", choices=LABELS, default=STABLE, help="default: %(default)s")
    promoting.add_argument(
        "--base-path",
        metavar="DIR",
        help="the folder of versions as TensorFlow Serving sees it (default: what was said before, or its path here)",
    )
    demoting = commands.add_parser("demote", parents=[common], help="take a label away")
    demoting.add_argument("--label", choices=LABELS, required=True)
    options = parser.parse_args(arguments)
    if options.command == "promote" and not re.match(r"/|\w+://", options.base_path or "/"):
        parser.error(f"--base-path is {options.base_path!r}: TensorFlow Serving takes a full path or a URI")
    return options


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
        elif options.command == "verify":
            _verify(_only(pipelines), options.version, options.public_key)
        elif options.command == "rollback":
            _roll_back(_only(pipelines), options)
        elif options.command == "promote":
            _promote(_only(pipelines), options)
        else:
            _demote(_only(pipelines), options.label)
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
            folder.name: [_described(folder, version, labels_of(folder)) for version in published_versions(folder)]
            for folder in pipelines
        }
        print_json(json.dumps(publications, indent=2))
        return
    for folder in pipelines:
        versions, labels = published_versions(folder), labels_of(folder)
        print(folder.name)
        rows: list[tuple[str, ...]] = [("version", "published", "model", "data", "source", "recall@10", "")]
        rows += [
            _row(version, _described(folder, version, labels), served=version == versions[-1]) for version in versions
        ]
        print(columns(rows, "l"))


def _described(folder: Path, version: int, labels: Mapping[str, int]) -> dict[str, Any]:
    """Return a version's publication, with its labels if it bears any."""
    borne = [label for label, labelled in labels.items() if labelled == version]
    return {**read_publication(folder / str(version)), **({"labels": borne} if borne else {})}


def _row(version: int, publication: dict[str, Any], *, served: bool) -> tuple[str, ...]:
    metrics = publication.get("metrics")
    recall = metrics.get(_LISTED_METRIC) if isinstance(metrics, dict) else None
    notes = [*(["served"] if served else []), *publication.get("labels", [])]
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
    check_version(folder, version)
    publication = _described(folder, version, labels_of(folder))
    if as_json:
        print_json(json.dumps(publication, indent=2))
        return
    print(f"version {version} of {folder.name}{', served' if version == versions[-1] else ''}")
    lines = {
        "published": publication.get("published_at"),
        "restored from": publication.get(RESTORED_FROM),
        "labels": ", ".join(publication.get("labels", [])) or None,
        "model digest": publication.get("model_digest"),
        "data digest": publication.get("manifest_digest"),
        "source digest": publication.get("source_digest"),
        "code version": publication.get("code_version"),
        "commit": publication.get("commit"),
    }
    for name, value in lines.items():
        if value is not None or name not in ("restored from", "labels"):
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


def _verify(folder: Path, version: int | None, public_key: Path | None) -> None:
    version = published_versions(folder)[-1] if version is None else version
    check_version(folder, version)
    place = folder / str(version)
    if public_key is not None:
        verify_version(place, public_key)
    if read_publication(place).get("model_digest") != model_digest(place):
        raise InputError(f"{place} is not as it was published: its digest is another one", code="M08")
    if public_key is not None:
        said = f"signed with {public_key}"
    elif is_signed(place):
        said = "its signature was not looked at: give --public-key"
    else:
        said = "not signed"
    print(f"version {version} of {folder.name} is as it was published; {said}")


def _roll_back(folder: Path, options: argparse.Namespace) -> None:
    new = roll_back(
        folder,
        options.version,
        _tell,
        key=load_private_key(options.private_key) if options.private_key else None,
        public_key=load_public_key(options.public_key) if options.public_key else None,
    )
    print(f"version {new} of {folder.name} is served now: it is version {options.version} again")


def _promote(folder: Path, options: argparse.Namespace) -> None:
    before = promote(folder, options.version, options.label, base_path=options.base_path, note=_tell)
    moved = "" if before in (None, options.version) else f", which version {before} was"
    print(f"version {options.version} of {folder.name} is {options.label} now{moved}")


def _demote(folder: Path, label: str) -> None:
    print(f"version {demote(folder, label, _tell)} of {folder.name} is no longer {label}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
