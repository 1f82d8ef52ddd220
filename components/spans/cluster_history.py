"""What earlier runs left of spans in lasting folders, for orchestrators that can't look up earlier artifacts."""

import json
import shutil
from pathlib import Path

from tfx import v1 as tfx
from tfx.utils import path_utils

from components.artifacts import DataSource, DataVerdict, PrequentialFigures, SpanVerdict
from components.history.served_model import versions_by_service
from components.history.spans import span_of
from components.ingestion.example_gen import copy_examples, describe_examples
from components.local_paths import local_path
from components.naming import ABSENT, SPANS_PROPERTY
from components.spans.ledger import accepted, keep_progress, read_ledger
from components.spans.next_span import present, series_of
from components.spans.prequential import FIGURES_FILE
from data.atomic_folder import exclusive, staged
from data.errors import InputError
from data.examples.manifest import Manifest
from data.spans.series import revisions_of, span_folder
from serving.export_record import read_record

_KEPT_STATISTICS = 2
"""Those of the last range, and of the one before for a run of the last span that is repeated."""


@tfx.dsl.components.component
def ServedVersion(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    passed_over: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    serving: tfx.dsl.components.Parameter[str],
) -> None:
    """Return the model that is served, or, where that has learned from the span already, the newest that has not."""
    passed_over.set_int_custom_property(ABSENT, 1)
    version = version_before(Path(serving), span_of(examples))
    if version is None:
        model.set_int_custom_property(ABSENT, 1)
        print(f"{serving} holds no model that has not learned from the span: there is nothing to compare with yet")
        return
    shutil.copytree(version, path_utils.serving_model_dir(str(local_path(model.uri))), dirs_exist_ok=True)
    print(f"comparing with the published version {version.name}", flush=True)


def version_before(serving: Path, span: int) -> Path | None:
    """Return the folder of the version that is served, or of the newest that has not learned from a span or later ones.

    A model learns from nothing newer than the span that its export record names, nor does one that it started from.

    Parameters
    ----------
    serving
        The folder of published versions; it may be missing.
    span
        The span.

    Raises
    ------
    InputError
        The record of the version that is served names no span.
    """
    for place, version in enumerate(versions_by_service(serving)):
        folder = serving / str(version)
        training = read_record(folder).training
        newest = training.span if training is not None else None
        if newest is None and place == 0:
            raise InputError(
                f"version {version} of {serving} is served, and it doesn't say which spans it has learned from: roll "
                "back to a version that was trained on spans, or give the configuration another `name`",
                code="M34",
            )
        if newest is not None and newest < span:
            return folder
    return None


@tfx.dsl.components.component
def KeptRangeStatistics(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    current: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    previous: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    folder: tfx.dsl.components.Parameter[str],
) -> None:
    """Return the kept statistics of the newest range of spans that ends before the run's own span."""
    span = span_of(examples)
    kept = [number for number in _kept(Path(folder)) if number < span]
    if not kept:
        previous.set_int_custom_property(ABSENT, 1)
        print("no statistics of a range of earlier spans are kept: there is nothing to compare with yet", flush=True)
        return
    shutil.copytree(span_folder(Path(folder), kept[-1]), local_path(previous.uri), dirs_exist_ok=True)
    previous.split_names = current.split_names


@tfx.dsl.components.component
def AcceptedSpan(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    span_verdict: tfx.dsl.components.InputArtifact[SpanVerdict],
    verdict: tfx.dsl.components.InputArtifact[DataVerdict],
    ledger: tfx.dsl.components.Parameter[str],
) -> None:
    """Keep that both gates let the span pass: their verdicts are there."""
    keep_progress(Path(ledger), span_of(examples), outcome="accepted")


@tfx.dsl.components.component
def AcceptedRange(  # noqa: N802
    current: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    examples: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Examples],
    base_model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    series: tfx.dsl.components.Parameter[str],
    ledger: tfx.dsl.components.Parameter[str],
    num_spans: tfx.dsl.components.Parameter[int],
    served: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model] = None,
    source: tfx.dsl.components.InputArtifact[DataSource] = None,
) -> None:
    """Return the examples of the last accepted spans, made again from their folders, the newest first.

    `base_model` is the served model, unless it has learned from a user who was forgotten since. `series`, `ledger`,
    `num_spans` and `source` are those of `NextSpan`.
    """
    folder = series_of(local_path(source.uri) if source is not None else None, Path(series))
    spans = present(folder, accepted(read_ledger(Path(ledger)), before=span_of(current) + 1, most=num_spans))
    for span in spans:
        manifest = Manifest.load(span_folder(folder, span))
        manifest.verify(span_folder(folder, span))
        copy_examples(span_folder(folder, span), manifest, str(span_folder(local_path(examples.uri), span)))
    describe_examples(examples)
    examples.set_string_custom_property(SPANS_PROPERTY, str(spans))
    print(f"learning from the spans {', '.join(map(str, spans))}", flush=True)
    model = None if served is None else Path(path_utils.serving_model_dir(str(local_path(served.uri))))
    training = None if model is None else read_record(model).training
    outdated = [] if training is None else training.outdated(revisions_of(folder))
    if outdated:
        print(
            f"training begins anew: a user of span {outdated[0]}, which is learned in the served model, was forgotten"
        )
    if model is None or outdated:
        base_model.set_int_custom_property(ABSENT, 1)
        return
    shutil.copytree(model, path_utils.serving_model_dir(str(local_path(base_model.uri))), dirs_exist_ok=True)


@tfx.dsl.components.component
def SpanKeeper(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    figures: tfx.dsl.components.InputArtifact[PrequentialFigures],
    pushed_model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.PushedModel],
    folder: tfx.dsl.components.Parameter[str],
    ledger: tfx.dsl.components.Parameter[str],
) -> None:
    """Keep what became of the span, the served model's figures on it, and the statistics of its range.

    `folder` is that of statistics.
    """
    span = span_of(examples)
    keep_statistics(local_path(statistics.uri), Path(folder), span)
    measured = json.loads((local_path(figures.uri) / FIGURES_FILE).read_text(encoding="utf-8"))
    outcome = "published" if pushed_model.get_int_custom_property("pushed") == 1 else "judged"
    keep_progress(Path(ledger), span, outcome=outcome, figures=measured)
    print(f"span {span}: {outcome}", flush=True)


def keep_statistics(statistics: Path, folder: Path, span: int) -> None:
    """Copy the statistics of a range to `<folder>/span-<its last>`, and remove those that no run asks for again."""
    with exclusive(folder, print):
        folder.mkdir(exist_ok=True)
        with staged(span_folder(folder, span)) as staging:
            shutil.copytree(statistics, staging, dirs_exist_ok=True)
        for number in _kept(folder)[:-_KEPT_STATISTICS]:
            shutil.rmtree(span_folder(folder, number))


def _kept(folder: Path) -> list[int]:
    """Return the spans that kept statistics end with, ascending."""
    return sorted(int(path.name.removeprefix("span-")) for path in folder.glob("span-[1-9]*"))
