"""The span gate: holds a new span's size and catalogue against the accepted spans before it.

The data gate compares distributions; it doesn't see that most of a span is missing, or that its catalogue is another.
"""

import json
import logging
from collections.abc import Iterator, Sequence

import numpy as np
from tfx import v1 as tfx

from components.artifacts import SpanVerdict
from components.spans.settings import SpanGateSettings
from data.errors import InputError
from data.examples.manifest import Manifest
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from serving.artifact_files import read_catalogue, read_manifest

VERDICT_FILE = "verdict.json"

logger = logging.getLogger("next_movie.span_gate")


def find_faults(
    span: Manifest,
    catalogue: Catalogue,
    before: Sequence[tuple[Manifest, Catalogue]],
    settings: SpanGateSettings,
) -> Iterator[str]:
    """Yield what is wrong with a span, each in a phrase.

    Parameters
    ----------
    span, catalogue
        The span's.
    before
        Those of the accepted spans before it; with none, nothing is found.
    settings
        What is allowed.
    """
    if not before:
        return
    labels = span.counts.train + span.counts.eval
    usual = sum(manifest.counts.train + manifest.counts.eval for manifest, _ in before) / len(before)
    if not settings.min_volume * usual <= labels <= settings.max_volume * usual:
        yield (
            f"it has {labels:,} labels, {labels / usual:.2f} times the {usual:,.0f} of the spans before it on average, "
            f"and {settings.min_volume:g} to {settings.max_volume:g} times are allowed"
        )
    known: dict[int | bytes, int] = {}
    for _, earlier in before:
        for movie, count in _labels_of(earlier).items():
            known[movie] = known.get(movie, 0) + count
    listed = set(catalogue.ids.tolist())
    lost = _share(known, {movie for movie in known if movie not in listed})
    if lost > settings.max_lost_share:
        yield (
            f"its catalogue lacks movies that {lost:.0%} of the labels before are of, and "
            f"{settings.max_lost_share:.0%} are allowed"
        )
    own = _labels_of(catalogue)
    unknown = _share(own, own.keys() - known.keys())
    if unknown > settings.max_unknown_share:
        yield (
            f"{unknown:.0%} of its labels are of movies that are no label in the spans before it, and "
            f"{settings.max_unknown_share:.0%} are allowed"
        )


@tfx.dsl.components.component
def SpanGate(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    verdict: tfx.dsl.components.OutputArtifact[SpanVerdict],
    settings: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
    before: tfx.dsl.components.InputArtifact[list[tfx.types.standard_artifacts.Examples]] = None,
) -> None:
    """Raise `InputError` on a span that is not like those before it, else write the verdict.

    `before` is empty for the first span. `settings` is a `SpanGateSettings` as JSON. `code_digest` only tells TFX's
    cache when this code changes.
    """
    faults = list(
        find_faults(
            *_read(examples.uri), [_read(span.uri) for span in before], SpanGateSettings.model_validate_json(settings)
        )
    )
    if faults:
        raise InputError(
            f"the span is refused: {'; '.join(faults)}. Generate it again; if it is meant to be so, set the limits of "
            "rolling.span_gate",
            code="G17",
        )
    with tfx.dsl.io.fileio.open(f"{verdict.uri}/{VERDICT_FILE}", "w") as file:
        json.dump({"spans_before": len(before)}, file)


def _read(uri: str) -> tuple[Manifest, Catalogue]:
    return read_manifest(uri), read_catalogue(f"{uri}/{CATALOGUE_FILE}")


def _labels_of(catalogue: Catalogue) -> dict[int | bytes, int]:
    """Return how often movies are train labels, by id, without those that are none."""
    if catalogue.train_labels is None:
        return {}
    counts = catalogue.train_labels.sum(axis=1)
    places = np.flatnonzero(counts)
    return dict(zip(catalogue.ids[places].tolist(), counts[places].tolist(), strict=True))


def _share(counts: dict[int | bytes, int], of: set[int | bytes]) -> float:
    total = sum(counts.values())
    return sum(counts[movie] for movie in of) / total if total else 0.0
