#!/usr/bin/env python3
"""Run a command on this checkout in a Debian 13 tree, where TFX 1.21 can be installed on an older system.

The tree is made by debootstrap, once, in a folder outside the checkout: `NEXT_MOVIE_LANES`, or
`~/.cache/next-movie-lanes`. It needs root, Linux's namespaces and some 6 GB. The checkout and the folder of temporary
files are seen under the same paths as outside; `.venv` and `.tools` are the tree's own. Name resolution, certificates
and pip's configuration are this machine's.

Mounts and processes live in namespaces of their own, which end with this program, even if it is killed.

    tools/lane.py make test LANE=1.21
    tools/lane.py --make
    tools/lane.py --remove
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
CACHE_VARIABLE = "NEXT_MOVIE_LANES"

SUITE = "trixie"
BASE_PACKAGES = (
    *("ca-certificates", "git", "make", "procps"),
    *("python3", "python3-dev", "python3-pip", "python3-venv"),
    *("gcc", "g++"),
)
"""For the environment: a few of the pinned packages come as source only."""
BROWSER_PACKAGES = ("chromium",)
"""For the tests that look at pages; debootstrap by itself can't put their dependencies into order."""
RECIPE = " ".join((SUITE, *BASE_PACKAGES, *BROWSER_PACKAGES))
"""A tree that was made by another one is made anew."""

SEEN_ALIKE = (
    *("/etc/hosts", "/etc/resolv.conf"),
    *("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf", "~/.config/uv/uv.toml"),
    "/etc/ssl/certs/ca-certificates.crt",
)
"""What of this machine lets an installer reach its index, if it is there."""
NAMED_BY = ("CERT_FILE", "CA_BUNDLE", "PIP_CERT", "PIP_CONFIG_FILE", "PIP_FIND_LINKS", "MOVIELENS_SOURCES")
"""Variables that name more of it end so."""
LEFT_OUT = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "UV_CACHE_DIR")
"""Variables that hold for this machine alone."""

_ENTER = """
set -eu
tree=$1 folder=$2
shift 2
# A root that is a mount itself lets programs in it mount what is theirs.
mount --rbind "$tree" "$tree"
mount -t proc proc "$tree/proc"
while [ "$1" != -- ]; do
    mount --rbind "$1" "$tree$2"
    shift 2
done
shift
chroot "$tree" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
exit $?
"""
"""The first process of the namespaces; it waits for the command, as it is the one that orphans are given to."""


class LaneUnavailableError(Exception):
    """There is no tree and none can be made here; the message says why."""


def home() -> Path:
    """Return the folder that holds the tree and what is installed for it."""
    cache = os.environ.get(CACHE_VARIABLE)
    return Path(cache) if cache else Path.home() / ".cache" / "next-movie-lanes"


def make() -> Path:
    """Make the tree if it was not made before, and return it.

    Raises
    ------
    LaneUnavailableError
        This machine can't make one.
    """
    tree = home() / f"debian-{SUITE}"
    if not _is_whole(tree):
        _check_machine()
        with _lock(fcntl.LOCK_EX):
            # Somebody else may have made it meanwhile.
            if not _is_whole(tree):
                _make(tree)
    return tree


def _is_whole(tree: Path) -> bool:
    recipe = tree / ".recipe"
    return recipe.is_file() and recipe.read_text(encoding="utf-8") == RECIPE


def _make(tree: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise LaneUnavailableError("there is no debootstrap (on Debian and Ubuntu: apt-get install debootstrap)")
    # Under another name until it is whole; what was killed on the way, so that it could not tidy up, is removed here.
    partial = tree.with_name(f"{tree.name}.partial")
    for old in (partial, tree):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(parents=True)
    print(f"making a Debian tree ({SUITE}) in {tree.parent}, which takes a minute or two", flush=True)
    try:
        _fill(partial)
        partial.rename(tree)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(tree: Path) -> None:
    include = f"--include={','.join(BASE_PACKAGES)}"
    debootstrap = ["debootstrap", "--variant=minbase", include, SUITE, str(tree), *_mirror()]
    _make_step([*_namespaces(), *debootstrap], "debootstrap")
    (tree / "etc" / "apt" / "apt.conf").write_text(_output("apt-config", "dump", "Acquire"), encoding="utf-8")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *BROWSER_PACKAGES]
    for command in (install, ["apt-get", "clean"]):
        _make_step(_entering(tree, Path("/"), [], command), "apt-get")
    (tree / ".recipe").write_text(RECIPE, encoding="utf-8")


def run(tree: Path, checkout: Path, command: Sequence[str]) -> int:
    """Run a command in the tree, in the checkout, and return its exit status.

    Raises
    ------
    LaneUnavailableError
        This machine allows no namespaces of one's own.
    """
    _check_machine()
    own = [(tree.parent / name, checkout / name) for name in (".venv", ".tools")]
    made = [place for _, place in own if not place.exists()]
    for inside, place in own:
        inside.mkdir(exist_ok=True)
        place.mkdir(exist_ok=True)
    # They are another checkout's, perhaps: make then has uv compare what is installed with the lock, in a second.
    for stamp in (tree.parent / ".venv").glob(".installed*"):
        stamp.unlink()
    try:
        shared = [(path, path) for path in (Path(tempfile.gettempdir()), checkout, *_git_folder(checkout))]
        return _wait(_entering(tree, checkout, [*shared, *own], command))
    finally:
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise LaneUnavailableError("mounting into a tree needs root")
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        raise LaneUnavailableError("there are no unshare and setpriv (of util-linux)")
    if subprocess.run([*_namespaces(), "true"], capture_output=True, check=False).returncode:
        raise LaneUnavailableError("this machine allows no mounts in a namespace of one's own")


def _namespaces() -> list[str]:
    """Return the command that runs another in namespaces of mounts and processes which end with this process."""
    return ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]


def _entering(tree: Path, folder: Path, mounts: Sequence[tuple[Path, Path]], command: Sequence[str]) -> list[str]:
    """Return what runs a command in the tree; mounts are pairs of a path here and its path in the tree."""
    named = [value for name, value in os.environ.items() if name.endswith(NAMED_BY)]
    alike = [Path(name).expanduser() for name in (*SEEN_ALIKE, *named)]
    everywhere = [Path("/dev"), Path("/sys"), *(path for path in alike if path.is_absolute() and path.exists())]
    (tree / Path.home().relative_to("/")).mkdir(parents=True, exist_ok=True)
    pairs = []
    for source, place in [*((path, path) for path in dict.fromkeys(everywhere)), *mounts]:
        _make_place(source, tree, place)
        pairs += [str(source.resolve()), str(place)]
    return [
        *_namespaces(),
        *("env", *(f"--unset={name}" for name in LEFT_OUT)),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        # Between two mounts nothing can be linked, and a cache would hold all a second time.
        *("UV_LINK_MODE=copy", "UV_NO_CACHE=1", "DEBIAN_FRONTEND=noninteractive"),
        *("sh", "-c", _ENTER, "lane", str(tree), str(folder), *pairs, "--", *command),
    ]


def _make_place(source: Path, tree: Path, place: Path) -> None:
    """Make the folder or file in the tree that a mount covers."""
    inside = tree / place.relative_to("/")
    if source.is_dir():
        inside.mkdir(parents=True, exist_ok=True)
        return
    inside.parent.mkdir(parents=True, exist_ok=True)
    if inside.is_symlink():
        # It would lead out of the tree.
        inside.unlink()
    inside.touch()


def _git_folder(checkout: Path) -> list[Path]:
    """Return where git keeps the checkout's history, if that lies elsewhere, as a worktree's does."""
    found = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
        cwd=checkout,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    folder = Path(found.stdout.strip())
    return [folder] if found.returncode == 0 and not folder.is_relative_to(checkout) else []


def _mirror() -> list[str]:
    """Return this machine's own mirror of Debian; on another system nothing, for which debootstrap has its default."""
    if shutil.which("apt-get") is None:
        return []
    which = ("Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main")
    return _output("apt-get", "indextargets", "--format", "$(REPO_URI)", *which).split()[:1]


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout


def _make_step(command: Sequence[str], name: str) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        if _wait(command, stdout=log, stderr=subprocess.STDOUT):
            log.seek(0)
            last = (log.read().strip().splitlines() or ["no message"])[-1]
            raise LaneUnavailableError(f"{name} failed: {last}")


def _wait(command: Sequence[str], **options: object) -> int:
    """Run a command to its end; whatever ends this process, or the wait, ends all that it started."""
    process = subprocess.Popen(command, **options)
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        return process.wait()
    except KeyboardInterrupt:
        # A terminal has told the command, too: it may have a last word.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        raise
    finally:
        process.kill()
        process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _lock(kind: int) -> Iterator[None]:
    """Hold the tree: `fcntl.LOCK_EX` to change it, `fcntl.LOCK_SH` to use it."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another use of the tree to end", flush=True)
            fcntl.flock(file, kind)
        yield


def main() -> int:
    """Make, use or remove the tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", action="store_true", help="make the tree and run nothing")
    parser.add_argument("--remove", action="store_true", help="remove the tree and all that is installed for it")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, with its arguments")
    arguments = parser.parse_args()
    if bool(arguments.command) + arguments.make + arguments.remove != 1:
        parser.error("give a command, --make or --remove")
    try:
        if arguments.remove:
            with _lock(fcntl.LOCK_EX):
                shutil.rmtree(home())
            return 0
        tree = make()
        if arguments.make:
            print(tree)
            return 0
        with _lock(fcntl.LOCK_SH):
            return run(tree, ROOT, arguments.command)
    except LaneUnavailableError as error:
        print(f"error: no Debian tree here: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
