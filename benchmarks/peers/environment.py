"""The environment that RecBole runs in, made by uv or pip when it is first asked for."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from data.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = ROOT / ".tools" / "recbole"
"""Where it lies unless told otherwise; `make clean` takes it away."""

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_SECONDS = 1800


def make_environment(folder: Path | None = None, requirements: Path = REQUIREMENTS) -> Path:
    """Make the environment, once, and return its Python.

    Parameters
    ----------
    folder
        Where to make it (default: `ENVIRONMENT`). One that was left unfinished or made from other requirements is
        made again.
    requirements
        What to install, fully pinned; about 2 GB.

    Raises
    ------
    InputError
        It can't be made: there is no network, perhaps, or no room.
    """
    folder = folder or ENVIRONMENT
    python = folder / "bin" / "python"
    complete = folder / "complete"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if complete.is_file() and complete.read_text() == digest:
        return python
    try:
        shutil.rmtree(folder, ignore_errors=True)
        for command in _commands(folder, python, requirements):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
        complete.write_text(digest)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1].strip()
        raise InputError(f"the environment for the peers can't be made in {folder}: {reason}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"the environment for the peers can't be made in {folder}: {error}") from error
    return python


def _commands(folder: Path, python: Path, requirements: Path) -> list[list[str]]:
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
    if uv is not None:
        return [
            [uv, "venv", "-q", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", str(python), "-r", str(requirements)],
        ]
    venv.create(folder, with_pip=True)
    return [[str(python), "-m", "pip", "install", "-q", "-r", str(requirements)]]
