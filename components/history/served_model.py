"""The Model artifact behind the version that is served, found by the digest of its files.

TFX's PushedModel doesn't follow a rollback, nor labels: the newest push need not be what is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import ml_metadata as mlmd
from tfx import types
from tfx import v1 as tfx
from tfx.utils import path_utils

from components.history.seen_data import seen_by
from components.naming import SPAN_PROPERTY
from data.errors import InputError
from serving.labels import version_to_serve
from serving.versions import GRAPH_FILE, model_digest, published_versions

_Artifacts = dict[str, list[types.Artifact]]


def served_before(
    store: mlmd.MetadataStore, serving: Path, models: Iterable[types.Artifact], span: int
) -> types.Artifact | None:
    """Return the model that is served, or, where that has learned from a span already, the newest that has not.

    So a day that was interrupted behind its publication goes on with what it began with.

    Parameters
    ----------
    store
        The pipeline's metadata.
    serving
        The folder of published versions; it may be missing.
    models
        The pipeline's Model artifacts.
    span
        The span that is about to be learned from.

    Returns
    -------
    artifact or None
        None where nothing is published, or nothing without that span.

    Raises
    ------
    InputError
        The served version is of no model in the metadata: what it has seen isn't known.
    """
    newest_first = sorted(models, key=lambda model: model.id, reverse=True)
    known: dict[str, types.Artifact] = {}
    for place, version in enumerate(versions_by_service(serving)):
        model = _find(newest_first, model_digest(serving / str(version)), known)
        if model is None:
            if place == 0:
                raise InputError(
                    f"version {version} of {serving} is served, and no model in the metadata has its files: which "
                    "spans it has learned from isn't known. Roll back to a version that this pipeline published, or "
                    "name another --work-dir",
                    code="M34",
                )
            continue
        if all(seen.span < span for seen in seen_by(store, model.id)):
            return model
    return None


class ServedModel(tfx.dsl.experimental.ResolverStrategy):
    """Picks the model that is served, before the run's span was learned from.

    Inputs are `examples`, the run's own, `model`, all models there are, and `passed_over`, which is emptied.

    Parameters
    ----------
    serving
        The folder of published versions.
    """

    def __init__(self, serving: str) -> None:
        self._serving = Path(serving)

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return `model` without all others."""
        span = input_dict["examples"][0].get_int_custom_property(SPAN_PROPERTY)
        served = served_before(store, self._serving, input_dict["model"], span)
        return {**input_dict, "model": [] if served is None else [served], "passed_over": []}


def versions_by_service(serving: Path) -> Iterator[int]:
    """Yield the version that is served, then the others, newest first.

    Parameters
    ----------
    serving
        The folder of published versions; it may be missing.
    """
    versions = published_versions(serving)
    served = version_to_serve(serving, None) if versions else None
    if served is not None:
        yield served
    yield from (version for version in reversed(versions) if version != served)


def _find(models: Iterable[types.Artifact], digest: str, known: dict[str, types.Artifact]) -> types.Artifact | None:
    """Return the newest model of a digest; what is read on the way is kept in `known`."""
    for model in models:
        if digest in known:
            break
        folder = Path(path_utils.serving_model_dir(model.uri))
        if (folder / GRAPH_FILE).is_file():
            known.setdefault(model_digest(folder), model)
    return known.get(digest)
