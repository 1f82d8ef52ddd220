"""The environment that RecBole runs in, made when it is first asked for."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environments import TOOLS, make_environment

ENVIRONMENT = TOOLS / "recbole"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
"""Fully pinned; about 2 GB."""


def make_peer_environment() -> Path:
    """Return RecBole's Python, as `make_environment` does."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return make_environment(ENVIRONMENT, [line for line in lines if not line.startswith("#")])
