"""Where the commands write and look unless told otherwise: below the project, from whichever folder they run."""

from __future__ import annotations

from pathlib import Path

DEFAULT_WORK_DIR = Path(__file__).resolve().parent.parent / "runs"
"""Everything that a local run writes."""


def serving_root(work_dir: Path) -> Path:
    """Return the folder that holds a folder of published versions for each pipeline."""
    return work_dir / "serving"


DEFAULT_SERVING = serving_root(DEFAULT_WORK_DIR)
"""Where a local run publishes."""

METADATA_FILE = "metadata.sqlite"
"""ML Metadata's SQLite file, in the folder of a pipeline."""
