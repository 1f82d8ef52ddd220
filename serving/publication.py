"""The publication file of a published version: what the model is and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PUBLICATION_FILE = "assets.extra/publication.json"
"""File of a published model's publication: what it is and where it comes from, as JSON."""


def read_publication(version_folder: Path) -> dict[str, Any]:
    """Return the publication of a published model; empty if there is none that can be read."""
    try:
        publication = json.loads((version_folder / PUBLICATION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # One damaged or foreign version must not keep others from being published, or listed.
        return {}
    return publication if isinstance(publication, dict) else {}
