"""The tree in which the newer lane is tried: what it shows of this machine, and that it leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))
import lane  # noqa: E402

PROGRAMS = ("sh", "sleep", "cat", "true")
DEADLINE_SECONDS = 20


@pytest.fixture
def small_home(tmp_path, monkeypatch) -> Path:
    """Give a home whose tree holds a shell and little else; `lane` takes it for a whole one."""
    try:
        lane._check_machine()
    except lane.LaneUnavailableError as reason:
        pytest.skip(str(reason))
    monkeypatch.setenv(lane.CACHE_VARIABLE, str(tmp_path / "lanes"))
    fill_tree(tmp_path / "lanes" / "debian-trixie")
    return tmp_path / "lanes"


def fill_tree(tree: Path) -> None:
    for name in PROGRAMS:
        program = shutil.which(name)
        libraries = re.findall(r"(/\S+) \(0x", subprocess.check_output(["ldd", program], encoding="utf-8"))
        for file in (program, *libraries):
            place = tree / Path(file).relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    (tree / "bin").mkdir(exist_ok=True)
    if not (tree / "bin" / "sh").exists():
        shutil.copy(shutil.which("sh"), tree / "bin" / "sh")
    (tree / "proc").mkdir()
    (tree / ".recipe").write_text(lane.RECIPE)


@pytest.fixture
def checkout(tmp_path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "precious").write_text("kept")
    return folder


@pytest.fixture
def start(checkout) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Give a function that runs a script in the tree as `tools/lane.py` does, on another checkout."""
    with contextlib.ExitStack() as stack:

        def start(script: str) -> subprocess.Popen:
            code = (
                f"import lane, pathlib, sys; lane.ROOT = pathlib.Path({str(checkout)!r}); "
                f"sys.argv[1:] = ['sh', '-c', {script!r}]; raise SystemExit(lane.main())"
            )
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            stack.callback(process.kill)
            return process

        yield start


def new_mark() -> str:
    """Return how long to sleep so that the process can be told from all others."""
    return f"{uuid.uuid4().int % 10**6 + 1000}.25"


def wait_until(true, what: str) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def processes_with(text: str, file: str) -> list[str]:
    """Return the processes whose file in /proc holds a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            content = (folder / file).read_bytes().replace(b"\0", b" ")
        except OSError:
            continue
        if text.encode() in content and folder.name != str(os.getpid()):
            found.append(folder.name)
    return found


def test_a_command_sees_the_checkout_where_it_is_and_its_exit_status_is_passed_on(small_home, checkout, start):
    process = start('cat precious; echo " $PWD" > written; exit 7')
    output, _ = process.communicate()
    assert (output, process.returncode) == ("kept", 7)
    assert (checkout / "written").read_text().strip() == str(checkout)


def test_the_checkouts_own_environment_is_neither_seen_nor_changed(small_home, checkout, start):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "ours").write_text("ours")
    output, _ = start("echo .venv/*; echo theirs > .venv/theirs; echo theirs > .tools/theirs").communicate()
    assert output.strip() == ".venv/*"
    assert [path.name for path in (checkout / ".venv").iterdir()] == ["ours"]
    assert not (checkout / ".tools").exists()
    assert (small_home / ".venv" / "theirs").read_text() == "theirs\n"


def test_a_stamp_of_what_is_installed_for_another_checkout_is_not_trusted(small_home, checkout, start):
    (small_home / ".venv").mkdir()
    (small_home / ".venv" / ".installed-1.21").touch()
    start("true").communicate()
    assert not (small_home / ".venv" / ".installed-1.21").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda s: s.name)
def test_when_it_is_ended_no_process_and_no_mount_is_left_and_the_tree_can_be_removed(
    small_home, checkout, start, number
):
    mark = new_mark()
    process = start(f"sleep {mark} & echo > begun; sleep {mark}; echo never reached")
    tree = str(small_home / "debian-trixie")
    wait_until((checkout / "begun").exists, "the command did not start")
    assert processes_with(tree, "mountinfo")
    # As a terminal does: all of the command, but for what a kill reaches alone.
    for one in processes_with(f"sleep {mark}", "cmdline") if number == signal.SIGINT else []:
        os.kill(int(one), number)
    process.send_signal(number)
    process.wait(timeout=DEADLINE_SECONDS)
    wait_until(lambda: not processes_with(f"sleep {mark}", "cmdline"), "a process is left")
    wait_until(lambda: not processes_with(tree, "mountinfo"), "a mount is left")
    shutil.rmtree(small_home)
    assert (checkout / "precious").read_text() == "kept"


DEBOOTSTRAP = """#!/bin/sh
for folder; do case $folder in /*) break ;; esac; done
mkdir -p "$folder/etc/apt" "$folder/proc"
touch "$folder/half"
echo begun > {begun}
[ -e {whole} ] || sleep {mark}
cp -a {tree}/. "$folder"
"""


@pytest.fixture
def debootstrap(small_home, tmp_path, monkeypatch) -> SimpleNamespace:
    """Give a stand-in that hangs half-way, unless there is a file `whole`; nothing is made before."""
    stand_in = SimpleNamespace(begun=tmp_path / "begun", whole=tmp_path / "whole", mark=new_mark())
    model = (small_home / "debian-trixie").rename(tmp_path / "model")
    shutil.copy(model / shutil.which("true")[1:], model / "usr" / "bin" / "apt-get")
    (tmp_path / "programs").mkdir()
    program = tmp_path / "programs" / "debootstrap"
    program.write_text(DEBOOTSTRAP.format(**vars(stand_in), tree=model))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return stand_in


@pytest.mark.parametrize(("number", "left"), [(signal.SIGTERM, []), (signal.SIGKILL, ["debian-trixie.partial"])])
def test_a_tree_that_was_not_finished_is_made_anew(small_home, debootstrap, start, number, left):
    ended = start("true")
    wait_until(debootstrap.begun.exists, "debootstrap did not start")
    ended.send_signal(number)
    ended.wait()
    wait_until(lambda: not processes_with(f"sleep {debootstrap.mark}", "cmdline"), "a process is left")
    assert [path.name for path in small_home.glob("debian*")] == left
    debootstrap.whole.touch()
    output, _ = start("cat precious").communicate()
    assert output.endswith("kept"), output
    assert [path.name for path in small_home.glob("debian*")] == ["debian-trixie"]


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ((), "there are no unshare and setpriv (of util-linux)"),
        (("unshare", "setpriv", "true"), "there is no debootstrap (on Debian and Ubuntu: apt-get install debootstrap)"),
    ],
    ids=["nothing", "no debootstrap"],
)
def test_where_no_tree_can_be_made_one_line_says_why(tmp_path, present, said):
    if os.geteuid() != 0:
        pytest.skip("only root gets so far")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in present:
        (programs / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "lane.py"), "--make"],
        env={"PATH": str(programs), "HOME": str(tmp_path), lane.CACHE_VARIABLE: str(tmp_path / "lanes")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: no Debian tree here: {said}\n"


def test_without_root_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv(lane.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(lane.LaneUnavailableError, match="mounting into a tree needs root"):
        lane.make()


def test_a_file_that_would_lead_out_of_the_tree_is_not_written_through(tmp_path):
    outside = tmp_path / "outside"
    (tmp_path / "tree" / "etc").mkdir(parents=True)
    (tmp_path / "tree" / "etc" / "hosts").symlink_to(outside)
    lane._make_place(Path("/etc/hosts"), tmp_path / "tree", Path("/etc/hosts"))
    assert not outside.exists()
    assert (tmp_path / "tree" / "etc" / "hosts").is_file()
