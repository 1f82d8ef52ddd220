"""The span gate: holds a new span's size and catalogue against the accepted spans before it.

The data gate compares distributions; it doesn't see that most of a span is missing, or that its catalogue is another.
How these figures lie in real series is in `docs/continuous.md`.
"""

import json
import logging
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

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


@dataclass(frozen=True)
class SpanMeasures:
    """A span beside the accepted spans before it. All but `labels` and `usual` are shares.

    Attributes
    ----------
    labels
        Of the span.
    usual
        Labels of a span before it, on average.
    lost
        Train labels before it, of movies that its catalogue lacks.
    unknown
        Its train labels, of movies that are no train label before it.
    unlisted
        The movies of its events that the list which arrived with them lacks. A catalogue keeps all movies of those
        before it, so that only this tells of a list that lost some.
    undated, no_genres
        Its train labels, of movies without a year, and without genres.
    unlisted_before, undated_before, no_genres_before
        The same of the spans before it, on average.
    """

    labels: int
    usual: float
    lost: float
    unknown: float
    unlisted: float
    undated: float
    no_genres: float
    unlisted_before: float
    undated_before: float
    no_genres_before: float

    @property
    def times(self) -> float:
        """Its labels, as a multiple of the usual."""
        return self.labels / self.usual


def measure(span: Manifest, catalogue: Catalogue, before: Sequence[tuple[Manifest, Catalogue]]) -> SpanMeasures:
    """Return how a span lies beside those before it.

    Parameters
    ----------
    span, catalogue
        The span's.
    before
        Those of the accepted spans before it, at least one.
    """
    known: dict[int | bytes, int] = {}
    for _, earlier in before:
        for movie, count in _labels_of(earlier).items():
            known[movie] = known.get(movie, 0) + count
    own, listed = _labels_of(catalogue), set(catalogue.ids.tolist())
    emptiness = [_empty_shares(*earlier) for earlier in before]
    empty_before = np.mean(emptiness, axis=0).tolist()
    return SpanMeasures(
        span.counts.train + span.counts.eval,
        sum(manifest.counts.train + manifest.counts.eval for manifest, _ in before) / len(before),
        _share(known, known.keys() - listed),
        _share(own, own.keys() - known.keys()),
        *_empty_shares(span, catalogue),
        *empty_before,
    )


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
    found = measure(span, catalogue, before)
    if not settings.min_volume <= found.times <= settings.max_volume:
        yield (
            f"it has {found.labels:,} labels, {found.times:.2f} times the {found.usual:,.0f} of the spans before it on "
            f"average, and {settings.min_volume:g} to {settings.max_volume:g} times are allowed"
        )
    if found.lost > settings.max_lost_share:
        yield (
            f"its catalogue lacks movies that {found.lost:.0%} of the labels before are of, and "
            f"{settings.max_lost_share:.0%} are allowed"
        )
    for share, earlier, what in (
        (found.unlisted, found.unlisted_before, "of the movies of its events are not in the list that arrived"),
        (found.undated, found.undated_before, "of its labels are of movies without a year"),
        (found.no_genres, found.no_genres_before, "of its labels are of movies without genres"),
    ):
        if share > earlier + settings.max_lost_share:
            yield f"{share:.0%} {what}, {earlier:.0%} before, and {settings.max_lost_share:.0%} more are allowed"
    if found.unknown > settings.max_unknown_share:
        yield (
            f"{found.unknown:.0%} of its labels are of movies that are no label in the spans before it, and "
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


def _empty_shares(span: Manifest, catalogue: Catalogue) -> tuple[float, float, float]:
    """Return the shares of a span's movies that are not listed, and of its labels without a year, and genres."""
    unlisted = span.span.unlisted / max(span.profile.rated_movies, 1) if span.span and span.profile else 0.0
    if catalogue.train_labels is None:
        return unlisted, 0.0, 0.0
    weights = catalogue.train_labels.sum(axis=1)
    total = max(int(weights.sum()), 1)
    has_genres = np.array([len(genres) > 0 for genres in catalogue.genres], dtype=bool)
    return unlisted, weights[catalogue.years == 0].sum() / total, weights[~has_genres].sum() / total


def _labels_of(catalogue: Catalogue) -> dict[int | bytes, int]:
    """Return how often movies are train labels, by id, without those that are none."""
    if catalogue.train_labels is None:
        return {}
    counts = catalogue.train_labels.sum(axis=1)
    places = np.flatnonzero(counts)
    return dict(zip(catalogue.ids[places].tolist(), counts[places].tolist(), strict=True))


def _share(counts: dict[int | bytes, int], of: Set[int | bytes]) -> float:
    total = sum(counts.values())
    return sum(counts[movie] for movie in of) / total if total else 0.0
