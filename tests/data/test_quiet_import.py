from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
STAND_IN = """
import os, sys
try:
    os.fstat(2)
except OSError:
    raise SystemExit(0)
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 00:00:1795827099.945669      16 port.cc:153] oneDNN custom operations are on.\\n")
os.write(2, b"W0000 00:00:1795827099.945669      16 port.cc:154] beware\\n")
os.write(2, b"E0000 00:00:1795827099.945669      16 port.cc:155] an error\\n")
print("from Python", file=sys.stderr, flush=True)
{ending}
"""


def import_stand_in(folder: Path, *, ending: str = "", before: str = "", **variables: str) -> tuple[int, list[str]]:
    """Import a module that is as loud as TensorFlow, in a process of its own."""
    (folder / "tensorflow.py").write_text(STAND_IN.format(ending=ending))
    code = f"from data.environment import prepare_environment; prepare_environment()\n{before}\nimport tensorflow"
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    path = f"{folder}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('after', file=sys.stderr)"],
        env={**environment, "PYTHONPATH": path, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_notes_and_warnings_of_the_import_are_left_out_and_all_else_is_shown(tmp_path):
    code, lines = import_stand_in(tmp_path)
    assert code == 0
    assert lines == [
        "E0000 00:00:1795827099.945669      16 port.cc:155] an error",
        "from Python",
        "after",
    ]


def test_an_import_that_fails_is_told_as_ever(tmp_path):
    code, lines = import_stand_in(tmp_path, ending="raise ImportError('no library')")
    assert code == 1
    assert lines[-1] == "ImportError: no library"


@pytest.mark.parametrize("closing", ["import os; os.close(2)", "import tempfile; tempfile.tempdir = '/nowhere'"])
def test_without_a_standard_error_or_temporary_files_the_import_goes_on(tmp_path, closing):
    code, _ = import_stand_in(tmp_path, before=closing)
    assert code == 0


def test_who_asks_for_tensorflows_log_gets_it(tmp_path):
    _, lines = import_stand_in(tmp_path, TF_CPP_MIN_LOG_LEVEL="0")
    assert len(lines) == 6
