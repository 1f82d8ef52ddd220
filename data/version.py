"""Which code this is: its version, and the commit that it stands at."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

__version__ = "0.1.0"
"""The same as in pyproject.toml, which isn't read: nothing is installed where the code runs from a clone."""

PROJECT = "next-movie-retrieval"

UNKNOWN = "unknown"

COMMIT_VARIABLE = "NEXT_MOVIE_COMMIT"
"""Environment variable that names the commit where no repository can be asked, as in the image."""

_ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """Return the first twelve digits of the commit, with `-dirty` where tracked files differ from it.

    `NEXT_MOVIE_COMMIT` stands above git; where neither knows it, it is `unknown`.
    """
    given = os.environ.get(COMMIT_VARIABLE)
    if given:
        return given
    # A copy of the code that lies in someone else's repository is not that repository's.
    if _ask_git("ls-files", "--error-unmatch", str(Path(__file__).resolve())) is None:
        return UNKNOWN
    return _ask_git("describe", "--always", "--exclude=*", "--abbrev=12", "--dirty") or UNKNOWN


def describe_code() -> str:
    """Return project, version and commit in a line."""
    return f"{PROJECT} {__version__} ({commit()})"


def add_version_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--version` to a command."""
    parser.add_argument("--version", action=_ShowVersion, help="show version and commit, and exit")


class _ShowVersion(argparse.Action):
    """Prints the version. It asks git only when it is used: argparse's own action needs the text beforehand."""

    def __init__(self, option_strings: Sequence[str], help: str, **_: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(describe_code())
        parser.exit()


def _ask_git(*arguments: str) -> str | None:
    """Return git's answer about the project's folder; None if there is no git, or it has none."""
    # A hook of git's, which may run this, names its own repository and index.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(_ROOT), *arguments]
    try:
        answered = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError:
        return None
    return answered.stdout.strip() if answered.returncode == 0 else None
