"""Python environments of their own, for what can't be installed beside the pipeline."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from data.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
"""Where they lie unless told otherwise; `make clean` takes them away."""

_SECONDS = 1800


def make_environment(folder: Path, packages: Sequence[str]) -> Path:
    """Make an environment with uv or pip, once, and return its Python.

    Parameters
    ----------
    folder
        Where to make it. One that was left unfinished or made of other packages is made again.
    packages
        What to install, as pip's command line spells it.

    Raises
    ------
    InputError
        It can't be made: there is no network, perhaps, or no room.
    """
    python = folder / "bin" / "python"
    complete = folder / "complete"
    # Of another Python, or in another system that sees this folder, its own would not run.
    digest = hashlib.sha256("\n".join([sys.executable, sys.version, *packages]).encode()).hexdigest()
    try:
        if complete.is_file() and complete.read_text(encoding="utf-8") == digest:
            return python
        shutil.rmtree(folder, ignore_errors=True)
        for command in _commands(folder, python, packages):
            subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=_SECONDS)
        complete.write_text(digest, encoding="utf-8")
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1].strip()
        raise InputError(f"the environment {folder} can't be made: {reason}", code="B01") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"the environment {folder} can't be made: {error}", code="B01") from error
    return python


def _commands(folder: Path, python: Path, packages: Sequence[str]) -> list[list[str]]:
    uv = shutil.which("uv") or shutil.which("uv", path=str(TOOLS / "bin"))
    if uv is not None:
        return [
            [uv, "venv", "-q", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", str(python), *packages],
        ]
    venv.create(folder, with_pip=True)
    return [[str(python), "-m", "pip", "install", "-q", *packages]]
