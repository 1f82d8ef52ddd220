"""Which published version is served, as `serve.py` and model servers choose it."""

from __future__ import annotations

from pathlib import Path

from serving.labels import version_to_serve
from serving.publication import read_publication
from serving.versions import published_versions


def served_version(serving: Path) -> Path | None:
    """Return the folder of the version that is served: `stable` where a version bears that label, else the newest.

    Parameters
    ----------
    serving
        The pipeline's folder of versions; None is returned where it holds none.

    Raises
    ------
    InputError
        `models.config` can't be read, or the labelled version was removed by hand.
    """
    versions = published_versions(serving)
    if not versions:
        return None
    version = version_to_serve(serving, None) or versions[-1]
    return serving / str(version)


def served_state(serving: Path) -> str:
    """Return what decides, before a run, which version is served after it; another text once that changes.

    The newest version stands in it even where a label decides: a label that is set later, or taken away, must not give
    a state that was there before. Versions count up, also by a rollback.
    """
    served = served_version(serving)
    if served is None:
        return ""
    newest = published_versions(serving)[-1]
    return f"newest {newest}, served {served.name}: {read_publication(served).get('model_digest', '')}"
