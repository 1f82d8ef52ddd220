"""The environments that other libraries run in, each made when it is first asked for."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environments import TOOLS, make_environment

ENVIRONMENTS = TOOLS


def requirements_of(library: str) -> Path:
    """Return the file of what a library needs, fully pinned; about 2 GB of packages."""
    return Path(__file__).with_name(f"requirements-{library.lower()}.txt")


def make_peer_environment(library: str) -> Path:
    """Return the Python of a library's environment, as `make_environment` does."""
    lines = requirements_of(library).read_text(encoding="utf-8").splitlines()
    return make_environment(ENVIRONMENTS / library.lower(), [line for line in lines if not line.startswith("#")])
