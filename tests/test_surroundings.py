"""Commands where something that they are used to is missing: a reader, space, a home folder, a UTF-8 locale."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import local_runner
from data.command import run_command

ROOT = Path(__file__).resolve().parent.parent

# As users have it: unbuffered, faults come up elsewhere.
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}

GENERATE = ["-m", "data.generate", "--release", "sample", "--output"]


def ask(script: str, *, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in the frame of commands, below a shell's redirection."""
    code = (
        f"import sys; from data.command import *\ndef main():\n    {script}\n    return 0\nsys.exit(run_command(main))"
    )
    return subprocess.run(
        ["bash", "-c", line.replace("COMMAND", '"$0" -c "$1"'), sys.executable, code],
        cwd=ROOT,
        env={**BUFFERED, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_reader_that_has_seen_enough_ends_a_command_quietly():
    done = ask("for i in range(100_000): print(i)", line="COMMAND | head -1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_a_full_disk_behind_standard_output_is_one_line():
    done = ask("print(1)", line="COMMAND > /dev/full")
    assert (done.returncode, done.stderr) == (
        2,
        "error: standard output can't be written: No space left on device [F10]\n",
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed):
    assert ask("print(1); print(2, file=sys.stderr)", line=f"COMMAND {closed}").returncode == 0


def test_tables_replace_what_the_locale_has_no_sign_for():
    done = ask("print('Am\\xe9lie')", line="COMMAND", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stdout) == (0, "Am?lie\n")


def test_json_is_utf_8_in_any_locale():
    script = "print_json('\\\"Am\\xe9lie\\\"')"
    done = ask(script, line="COMMAND", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout) == "Amélie"


def test_memory_that_ends_is_one_line(capsys):
    def main() -> int:
        raise MemoryError

    assert run_command(main) == 1
    assert capsys.readouterr().err == "error: the memory is used up: free some, or take less data [F11]\n"


def test_ctrl_c_is_130_and_one_line(capsys):
    def main() -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    assert run_command(main, stopped="stopped") == 130
    assert capsys.readouterr().err == "stopped\n"


def test_an_error_about_a_file_is_not_taken_for_one_of_standard_output():
    with pytest.raises(FileNotFoundError):
        run_command(lambda: len(Path("no such file").read_bytes()))


def test_a_user_without_a_home_gets_one_and_a_cache():
    script = (
        "from pathlib import Path\n"
        "def none(self): raise RuntimeError('Could not determine home directory.')\n"
        "import os\n"
        "real = Path.expanduser\n"
        "Path.expanduser = lambda self: real(self) if 'HOME' in os.environ else none(self)\n"
        "from data.releases.download import default_cache_dir\n"
        "print(default_cache_dir())\n"
        "from data.environment import prepare_environment\n"
        "prepare_environment()\n"
        "print(Path.home())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in {"HOME", "XDG_CACHE_HOME", "TMPDIR"}}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "/tmp/next-movie-retrieval\n/tmp\n"  # noqa: S108


COMMANDS = {
    "local_runner": ("main", ["--config", "sample", "--work-dir"]),
    "data.generate": ("run", ["--release", "sample", "--output"]),
}


def run_command_of(name: str, target: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that writes to a folder, after some lines of Python."""
    function, arguments = COMMANDS[name]
    script = f"import sys\n{before}\nfrom {name} import {function}\nsys.exit({function}(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments, str(target)],
        cwd=ROOT,
        env={**BUFFERED, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def mounting(folder: Path, size_bytes: int) -> str:
    """Return a script that lays a small disk over a folder, or ends with code 77."""
    return (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from pathlib import Path\nfrom forked_runs import mount_small_disk\n"
        f"try: mount_small_disk(Path({str(folder)!r}), {size_bytes})\nexcept OSError: sys.exit(77)\n"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_temporary_folder_without_space_is_one_line_that_says_how_to_name_another(tmp_path, name):
    small = tmp_path / "small"
    small.mkdir()
    before = f"{mounting(small, 8192)}Path({str(small / 'held')!r}).write_text('x', encoding='utf-8')"
    done = run_command_of(name, tmp_path / "out", before, TMPDIR=str(small))
    if done.returncode == 77:
        pytest.skip("a full temporary folder needs the right to mount a disk")
    reason = f"{small} (No space left on device): set TMPDIR to a folder with free space"
    assert (done.returncode, done.stderr) == (2, f"error: the sample can't be written to {reason} [F04]\n")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_work_directory_without_space_is_told_from_one_without_rights(tmp_path, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pipeline.run_lock.FileLock.acquire", fail)
    assert local_runner.main(["--release", "sample", "--work-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no space left on the disk of {tmp_path}; free some and run again [F01]\n"


ON_A_FULL_DISK = {
    "an output": "from data.user_files import write_text; write_text(SMALL / 'out', 'x' * 100_000)",
    "a rollback": "import models; sys.exit(models.main(['rollback', '1', '--serving', str(SMALL)]))",
}


@pytest.mark.parametrize("what", ON_A_FULL_DISK)
def test_a_full_disk_is_told_from_rights_that_are_missing_and_nothing_is_lost(tmp_path, what):
    small = tmp_path / "small"
    small.mkdir()
    script = mounting(small, 98304) + (
        "from data.command import run_command\nfrom serving.versions import publish, published_versions\n"
        f"SMALL, HOME = Path({str(small)!r}), Path({str(tmp_path)!r})\n"
        "for number in (1, 2):\n"
        "    model = HOME / f'model-{number}'; model.mkdir()\n"
        "    (model / 'saved_model.pb').write_bytes(bytes([number]) * 30_000)\n"
        "    publish(model, SMALL / 'pipeline', {'pipeline': 'pipeline'}, keep=5)\n"
        f"def main(): {ON_A_FULL_DISK[what]}\n"
        "try: code = run_command(main)\nexcept SystemExit as end: code = end.code\n"
        "assert published_versions(SMALL / 'pipeline') == [1, 2]\n"
        "assert not (SMALL / 'out').exists()\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=BUFFERED, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode == 77:
        pytest.skip("a full disk needs the right to mount one")
    *_, line = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert line.startswith(f"error: no space left on the disk of {small}")
    assert line.endswith("free some and run again [F01]")


@pytest.mark.parametrize("name", COMMANDS)
def test_without_any_temporary_folder_one_line_says_how_to_name_one(tmp_path, name):
    before = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere']"
    done = run_command_of(name, tmp_path / "out", before)
    said = "no folder for temporary files can be written to: set TMPDIR to one with free space"
    assert (done.returncode, done.stderr) == (2, f"error: {said} [F04]\n")


def test_a_temporary_folder_that_is_not_there_is_passed_over(tmp_path):
    done = run_command_of("data.generate", tmp_path / "out", TMPDIR=str(tmp_path / "nowhere"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_processes_of_beam_started_elsewhere_find_the_project(tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import subprocess; "
        "from data.environment import prepare_environment; prepare_environment(); "
        "subprocess.run([sys.executable, '-c', 'import data.timelines.user_blocks'], check=True)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["local_runner", "kubeflow_runner", "inspect_data", "recommend", "models", "history"])
@pytest.mark.parametrize("option", [["--help"], ["--version"]])
def test_help_and_version_of_every_command_stand_a_locale_that_is_not_utf_8(name, option):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, f"{name}.py", *option], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_generating_stands_a_reader_that_ends_early(tmp_path):
    done = subprocess.run(
        ["bash", "-c", '"$0" "$@" 2>&1 | head -1; exit ${PIPESTATUS[0]}', sys.executable, *GENERATE, tmp_path / "g"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("fault", ["BrokenPipeError(32, 'Broken pipe')", "OSError(28, 'No space left on device')"])
@pytest.mark.parametrize("line", ["COMMAND", "COMMAND | cat; exit ${PIPESTATUS[0]}"])
def test_a_fault_within_a_command_is_none_of_standard_output_which_gets_no_byte_more(fault, line):
    done = ask(f"print('said'); raise {fault}", line=line)
    assert (done.returncode, done.stdout) == (1, "said\n")
    assert done.stderr.splitlines()[-1].endswith(fault[-len("pipe')") : -2])


def test_an_error_is_said_though_what_was_printed_before_it_finds_no_space():
    done = ask("print(1); raise InputError('it is wrong', code='A01')", line="COMMAND > /dev/full")
    assert (done.returncode, done.stderr) == (2, "error: it is wrong [A01]\n")


@pytest.mark.parametrize("line", ["COMMAND 2> /dev/full", "COMMAND 2> >(exec true)"])
def test_standard_error_that_can_not_be_written_is_no_reason_to_end(line):
    done = ask("import time; time.sleep(0.2); print('wrong', file=sys.stderr); print('done')", line=line)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("options", [[], ["-u"]])
def test_a_command_that_outlives_its_reader_goes_on_to_its_own_exit_code(tmp_path, options):
    script = (
        "import sys, time; from pathlib import Path; from data.command import run_command\n"
        "def main():\n"
        "    for _ in range(3): print('line', flush=True); time.sleep(0.1)\n"
        f"    Path({str(tmp_path / 'done')!r}).touch()\n"
        "    return 3\n"
        "sys.exit(run_command(main, outlives_reader=True))"
    )
    line = '"$0" "$@" | head -1; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, *options, "-c", script],
        cwd=ROOT,
        env=BUFFERED,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "line\n", "")
    assert (tmp_path / "done").exists()


def test_a_file_written_to_standard_output_ends_quietly_too_when_its_reader_has_gone():
    script = "write_text(Path('/dev/stdout'), 'line\\n' * 100_000)"
    done = ask(
        f"from pathlib import Path; from data.user_files import write_text; {script}",
        line="COMMAND | head -1; exit ${PIPESTATUS[0]}",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")
