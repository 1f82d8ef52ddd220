"""Reading a run's artifacts into facts. Any of them may be missing: a run may have ended early."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.audit.figures import read_audit
from components.data_gate.rules import VERDICT_FILE, find_anomalies
from components.evaluation.evaluation_result import EvaluationResult
from components.evaluation.metric_names import CANDIDATES, POPULARITY, QUERIES, RECALL
from components.naming import SAVED_MODEL
from components.report.metrics import metric_rows, share_interval
from components.report.provenance import describe_process
from components.report.report_model import (
    DataFacts,
    DataGateFacts,
    DecisionFacts,
    DifferenceFacts,
    ReportModel,
    SliceFacts,
    SplitFacts,
    TopMovie,
)
from components.report.samples import sample_recommendations
from components.serving_check.servable_check import FINDINGS_FILE, Servability
from components.statistics.feature_statistics import SplitStatistics, read_split_statistics, split_names
from data import features
from data.examples.manifest import Manifest
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.version import __version__, commit
from serving.export_record import read_record
from trainer_module.training import HISTORY_FILE

_TOP_LABELS = 10
_SAMPLES = 6
_SAMPLE_K = 10


@dataclass(frozen=True)
class RunArtifacts:
    """Folders of a run's artifacts; None for what the run did not get to."""

    examples: Path | None = None
    statistics: Path | None = None
    anomalies: Path | None = None
    verdict: Path | None = None
    model: Path | None = None
    model_run: Path | None = None
    servability: Path | None = None
    audit: Path | None = None
    published: str | None = None
    """The published version."""


def load_run(
    artifacts: RunArtifacts,
    pipeline: str,
    settings: Mapping[str, Any],
    evaluation_result: EvaluationResult | None = None,
    source_digest: str | None = None,
) -> ReportModel:
    """Read what a run's artifacts know.

    Parameters
    ----------
    artifacts
        Where they lie.
    pipeline
        The pipeline's name.
    settings
        Its settings as plain data.
    evaluation_result
        What the Evaluator found; None where it did not run.
    source_digest
        Of the code that trains.
    """
    candidate = evaluation_result.evaluation.candidate if evaluation_result else {}
    data = _read_data(artifacts)
    return ReportModel(
        pipeline=pipeline,
        made_at=datetime.now(timezone.utc),
        code_version=__version__,
        commit=commit(),
        settings=dict(settings),
        data=data,
        data_gate=_read_data_gate(artifacts),
        curves=_read_curves(artifacts.model_run),
        training=read_record(artifacts.model / SAVED_MODEL).training if artifacts.model is not None else None,
        metrics=metric_rows(evaluation_result) if evaluation_result else [],
        queries=_count(candidate.get(QUERIES)),
        candidates=_count(candidate.get(CANDIDATES)),
        slices=_slices_of(evaluation_result, data) if evaluation_result else [],
        decision=_decide(evaluation_result, artifacts, settings),
        samples=(
            sample_recommendations(artifacts.model / SAVED_MODEL, artifacts.examples, _SAMPLES, _SAMPLE_K)
            if artifacts.model is not None and artifacts.examples is not None
            else []
        ),
        provenance=describe_process(source_digest),
        audit=read_audit(artifacts.audit) if artifacts.audit is not None else None,
    )


def _count(figure: float | None) -> int | None:
    """Return a figure that counts; None where it is not known."""
    return round(figure) if figure is not None and math.isfinite(figure) else None


def _read_data(artifacts: RunArtifacts) -> DataFacts | None:
    if artifacts.examples is None:
        return None
    manifest = Manifest.load(artifacts.examples)
    splits = []
    if artifacts.statistics is not None:
        catalogue = Catalogue.load(artifacts.examples / CATALOGUE_FILE)
        splits = [
            _split_facts(read_split_statistics(artifacts.statistics, split, manifest), catalogue)
            for split in split_names(artifacts.statistics)
        ]
    return DataFacts(
        release=manifest.data_set,
        words=manifest.options.wording,
        split=manifest.split,
        ratings=manifest.counts.ratings,
        users=manifest.counts.users,
        movies=manifest.counts.movies,
        options=manifest.options.model_dump(mode="json"),
        manifest_digest=manifest.digest,
        splits=splits,
        ties=manifest.options.ties,
        train_until=_time_of(manifest.train_until),
        left_out=manifest.left_out,
        profile=manifest.profile,
        libraries=manifest.libraries,
        requests=manifest.requests,
    )


def _time_of(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds is not None else None


def _split_facts(statistics: SplitStatistics, catalogue: Catalogue) -> SplitFacts:
    labels = statistics.features[features.LABEL_MOVIE_ID]
    lengths = statistics.features[features.CONTEXT_LENGTH]
    return SplitFacts(
        split=statistics.split,
        examples=statistics.examples,
        padding_share=statistics.features[features.CONTEXT_MOVIE_ID].padding_share,
        mean_context_length=lengths.numbers.mean if lengths.numbers else 0.0,
        unseen_label_share=statistics.unseen_label_share,
        distinct_labels=labels.distinct,
        context_lengths=lengths.counts,
        popularity=statistics.features[features.LABEL_POPULARITY].counts,
        stars=statistics.features[features.CONTEXT_MOVIE_RATING].counts,
        top_labels=[
            TopMovie(title=catalogue.title_of(movie_id), count=count, share=share)
            for movie_id, count, share in labels.top(_TOP_LABELS)
        ],
    )


def _read_data_gate(artifacts: RunArtifacts) -> DataGateFacts | None:
    """Read the gate's verdict, or, where it stopped the run and left none, the anomalies that it was given."""
    if artifacts.verdict is not None:
        verdict = json.loads((artifacts.verdict / VERDICT_FILE).read_text(encoding="utf-8"))
        return DataGateFacts(
            findings=verdict["findings"],
            distances=verdict["distances"],
            # A verdict that an earlier release left doesn't say.
            not_compared=verdict.get("not_compared", {}),
            compared_with_previous=verdict["compared_with_previous"],
        )
    if artifacts.anomalies is None:
        return None
    findings = [
        finding
        for path in sorted(artifacts.anomalies.glob("Split-*/SchemaDiff.pb"))
        for finding in find_anomalies(
            path.parent.name.removeprefix("Split-"), anomalies_pb2.Anomalies.FromString(path.read_bytes())
        )
    ]
    return DataGateFacts(findings=findings, finished=False)


def _read_curves(model_run: Path | None) -> dict[str, list[float | None]]:
    path = model_run / HISTORY_FILE if model_run is not None else None
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}


def _slices_of(evaluation_result: EvaluationResult, data: DataFacts | None) -> list[SliceFacts]:
    """Order slices as a person counts: lengths by number, popularity from head to unseen."""
    held_out = next((split for split in data.splits if split.split == "eval"), None) if data else None
    examples = (
        {features.CONTEXT_LENGTH: held_out.context_lengths, features.LABEL_POPULARITY: held_out.popularity}
        if held_out
        else {}
    )
    buckets = {name: place for place, name in enumerate(features.POPULARITY_BUCKETS)}

    def place(key: tuple[str, str]) -> tuple[str, int]:
        return key[0], int(key[1]) if key[1].isdecimal() else buckets.get(key[1], len(buckets))

    return [
        SliceFacts(
            feature=feature,
            value=value,
            recall=metrics[RECALL],
            low=low,
            high=high,
            recall_popularity=metrics[f"{RECALL}{POPULARITY}"],
            ndcg=metrics["ndcg_at_10"],
            mrr=metrics["mrr"],
            examples=examples.get(feature, {}).get(value),
        )
        for (feature, value), metrics in sorted(
            evaluation_result.evaluation.slices.items(), key=lambda item: place(item[0])
        )
        for low, high in [_recall_interval(metrics)]
    ]


def _recall_interval(metrics: Mapping[str, float]) -> tuple[float | None, float | None]:
    queries = _count(metrics.get(QUERIES))
    return share_interval(metrics[RECALL], queries) if queries else (None, None)


def _decide(
    evaluation_result: EvaluationResult | None, artifacts: RunArtifacts, settings: Mapping[str, Any]
) -> DecisionFacts:
    servable = None
    if artifacts.servability is not None:
        text = (artifacts.servability / FINDINGS_FILE).read_text(encoding="utf-8")
        servable = Servability.model_validate_json(text).findings
    if evaluation_result is None:
        return DecisionFacts(servable=servable, published=artifacts.published)
    difference, gate = evaluation_result.evaluation.difference, settings.get("model_gate", {})
    return DecisionFacts(
        blessed=evaluation_result.blessed,
        checks=evaluation_result.checks,
        difference=DifferenceFacts(
            **asdict(difference),
            allowed_drop=gate.get("max_recall_at_10_drop"),
            non_inferior=gate.get("non_inferior", False),
        )
        if difference is not None
        else None,
        no_baseline=evaluation_result.no_baseline,
        forms=evaluation_result.forms,
        servable=servable,
        published=artifacts.published,
    )
