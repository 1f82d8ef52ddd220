"""Runs of the pipeline in forks of the process that has loaded TFX, and what may happen to them."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from forked_check import forked_check
from forks import Zygote, write_to, zygote

_TIMEOUT_SECONDS = 300

Hook = Callable[[], None]


@dataclass(frozen=True)
class Ended:
    """How a run ended; a negative code is a signal's number."""

    code: int
    output: str
    errors: str


def check_in_a_fork() -> AbstractContextManager[None]:
    """Have runs in this process start the servable check's process as a fork, until the block ends."""
    return forked_check(zygote())


class Run:
    """A run of `local_runner.py` with the given arguments.

    Parameters
    ----------
    arguments
        The command line.
    before, after
        Called in the fork before and after the command. They have to be picklable.
    """

    def __init__(self, *arguments: object, before: Hook | None = None, after: Hook | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="forked-run-"))
        self._said = [self._folder / name for name in ("output", "errors")]
        words = [str(argument) for argument in arguments]
        self._process = zygote().start(_run_here, words, *self._said, before, after)

    def end(self) -> Ended:
        """Wait until it is over."""
        try:
            self._process.wait(_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        output, errors = (path.read_text(errors="replace") for path in self._said)
        shutil.rmtree(self._folder)
        return Ended(self._process.returncode, output, errors)


def run(*arguments: object, before: Hook | None = None, after: Hook | None = None) -> Ended:
    """Run `local_runner.py` to its end."""
    return Run(*arguments, before=before, after=after).end()


def run_module(module: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> int:
    """Run a module's `main` in a folder, with an environment and nothing else of ours, and return its exit code.

    What it writes is appended to `log`.
    """
    return zygote().start(_run_module_here, module, list(arguments), dict(environment), folder, log).wait()


def _run_module_here(module: str, arguments: list[str], environment: dict[str, str], folder: Path, log: Path) -> None:
    write_to(log, log)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with forked_check(Zygote()):
        importlib.import_module(module).main(arguments)


def _run_here(arguments: list[str], output: Path, errors: Path, before: Hook | None, after: Hook | None) -> None:
    write_to(output, errors)
    import local_runner

    if before is not None:
        before()
    # Once disks are mounted, so that the check sees them too.
    with forked_check(Zygote()):
        code = local_runner.main(arguments)
    if after is not None:
        after()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# What may happen to a run. Each is called in the fork.


def kill_in_step(step: str, after_seconds: float) -> None:
    """Have the process killed so long after a step began, or, if the step is quicker, at its end."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if re.search(rf"Component {step} is running\.", message):
            threading.Timer(after_seconds, kill).start()
        elif re.search(rf"Component {step} is finished\.", message):
            kill()
        return True

    logging.getLogger("absl").addFilter(watch)


def pause_in_step(step: str, until: Path) -> None:
    """Have the process wait at the begin of a step until a file is there."""

    def watch(record: logging.LogRecord) -> bool:
        while f"Component {step} is running." in record.getMessage() and not until.exists():
            time.sleep(0.05)
        return True

    logging.getLogger("absl").addFilter(watch)


def mount_small_disk(folder: Path, size_bytes: int) -> None:
    """Lay an empty disk of so many bytes over a folder, for this process only."""
    _own_mounts()
    _mount("tmpfs", folder, "tmpfs", 0, f"size={size_bytes}")


def copy_onto_small_disk(folder: Path, spare_bytes: int) -> None:
    """Have a folder's content lie, for this process only, on a disk with hardly room for more."""
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    mount_small_disk(folder, sum(map(len, files.values())) + spare_bytes)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def fill_disk_of(file: Path, scratch: Path, spare_bytes: int) -> None:
    """Put a file, for this process only, on a disk that is full but for some bytes."""
    content = file.read_bytes()
    _own_mounts()
    _mount("tmpfs", scratch, "tmpfs", 0, f"size={len(content) + spare_bytes}")
    moved = scratch / file.name
    moved.write_bytes(content)
    _mount(str(moved), file, "", _MS_BIND)


def make_read_only(folder: Path) -> None:
    """Have a folder, for this process only, lie on a disk that can't be written."""
    _own_mounts()
    _mount(str(folder), folder, "", _MS_BIND | _MS_REC)
    _mount("", folder, "", _MS_BIND | _MS_REMOUNT | _MS_READ_ONLY)


def tell_whether_published(serving: Path, digest: str) -> None:
    """Say what a reader sees where only this process looks: the versions, and whether version 1 has a digest."""
    from serving.versions import model_digest, published_versions

    print("seen:", published_versions(serving), model_digest(serving / "1") == digest)


def can_mount() -> bool:
    """Tell whether this machine lets tests mount disks of their own."""
    return zygote().start(_own_mounts).wait(_TIMEOUT_SECONDS) == 0


_CLONE_NEW_MOUNTS, _CLONE_NEW_USER = 0x00020000, 0x10000000
_MS_READ_ONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18


def _own_mounts() -> None:
    """Keep this process's mounts to itself; they end with it."""
    user, group = os.getuid(), os.getgid()
    if _libc().unshare(_CLONE_NEW_MOUNTS) != 0:
        # Not root: become root of a namespace, where the system allows it.
        if _libc().unshare(_CLONE_NEW_MOUNTS | _CLONE_NEW_USER) != 0:
            raise OSError(ctypes.get_errno(), "no mounts of one's own")
        Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="utf-8")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="utf-8")
    _mount("", Path("/"), "", _MS_REC | _MS_PRIVATE)


def _mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    if _libc().mount(source.encode(), str(target).encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"{target} can't be mounted")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
