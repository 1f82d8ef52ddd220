"""The environment that Optuna runs in, made when it is first asked for."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environments import TOOLS, make_environment

ENVIRONMENT = TOOLS / "optuna"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
"""Fully pinned; some 100 MB."""


def make_study_environment() -> Path:
    """Return Optuna's Python, as `make_environment` does."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return make_environment(ENVIRONMENT, [line for line in lines if not line.startswith("#")])
