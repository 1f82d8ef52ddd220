"""The lanes of TFX: their locks and Pythons, and which one the tests run in."""

from __future__ import annotations

from importlib.metadata import version

LOCKS = {
    "1.16": ("requirements.txt", "requirements-dev.txt"),
    "1.21": ("requirements-tfx121.txt", "requirements-dev-tfx121.txt"),
}
"""By lane."""

PYTHONS = {"1.16": ("3.10",), "1.21": ("3.11", "3.12", "3.13")}


def installed_lane() -> str:
    return ".".join(version("tfx").split(".")[:2])
