"""Telling a person at the terminal how a run went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from components.retrieval_metrics import LIFT, RECALL
from data import features
from pipeline.run_record import Judgement, RunRecord
from pipeline.settings import Settings
from trainer_module.recommender import Recommendation, Recommender

_SHOWN_METRICS = (
    "recall_at_1",
    "recall_at_5",
    RECALL,
    "recall_at_50",
    "recall_at_100",
    "ndcg_at_10",
    "mrr",
    "coverage_at_10",
    LIFT,
)
_SAMPLES = 3
_SAMPLE_K = 5
_SHOWN_HISTORY = 3


@dataclass(frozen=True)
class Sample:
    """An eval example and what the model recommends for it; `label_rank` is None beyond the recommendations."""

    history: list[str]
    label: str
    recommended: list[Recommendation]
    label_rank: int | None


def print_summary(record: RunRecord, settings: Settings) -> None:
    """Print steps, metrics, decision, place and sample recommendations of a run."""
    print("\nSteps")
    print_table(["step", "state", "seconds"], [[step.name, step.state, f"{step.seconds:.1f}"] for step in record.steps])
    if record.judgement is not None:
        print("\nMetrics on the eval split, the context's own movies left out")
        print_table(["metric", "model", "popularity", "last blessed", "required"], _metric_rows(record, settings))
        print("\nDecision")
        print(f"  {'blessed' if record.judgement.blessed else 'NOT blessed'}")
        for reason in record.judgement.reasons:
            print(f"  - {reason}")
    if record.servability is not None:
        for finding in record.servability.findings:
            print(f"  - not servable: {finding}")
    model = record.published
    print(f"\nModel\n  {f'published: {model}' if model else 'not published; what was served before still is'}")
    examples = record.outputs.get(("ExampleGen", "examples"))
    if model is not None and examples is not None:
        print("\nThree histories of the eval split, and what the model recommends")
        for sample in sample_recommendations(model, examples.uri):
            _print_sample(sample)


def sample_recommendations(model: Path, examples: Path) -> list[Sample]:
    """Ask a published model about the first few eval examples with a full context.

    Parameters
    ----------
    model
        A version's folder.
    examples
        Folder of the Examples artifact.
    """
    recommender = Recommender.load(model)
    samples = []
    for context, label in _first_windows(examples / "Split-eval"):
        recommended = recommender.recommend(context, k=_SAMPLE_K)
        ranks = {movie.movie_id: movie.rank for movie in recommended}
        samples.append(
            Sample(
                history=[recommender.catalogue.title(movie_id) for movie_id in context],
                label=recommender.catalogue.title(label),
                recommended=recommended,
                label_rank=ranks.get(label),
            )
        )
    return samples


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())


def _metric_rows(record: RunRecord, settings: Settings) -> list[list[str]]:
    judgement: Judgement = record.judgement
    gate = settings.model_gate
    required = {LIFT: f">= {gate.min_recall_at_10_lift:g}"}
    if judgement.baseline is not None:
        required[RECALL] = f">= {judgement.baseline[RECALL] - gate.max_recall_at_10_drop:.4f}"
    rows = []
    for name in _SHOWN_METRICS:
        popularity = judgement.candidate.get(f"{name}_popularity")
        baseline = judgement.baseline[name] if judgement.baseline else None
        rows.append(
            [
                name.replace("_at_", "@").replace("_", " "),
                f"{judgement.candidate[name]:.4f}",
                "" if popularity is None else f"{popularity:.4f}",
                "" if baseline is None else f"{baseline:.4f}",
                required.get(name, ""),
            ]
        )
    return rows


def _print_sample(sample: Sample) -> None:
    shown = sample.history[-_SHOWN_HISTORY:]
    earlier = len(sample.history) - len(shown)
    print(f"  watched {'; '.join(shown)}" + (f" (and {earlier} before)" if earlier else ""))
    for movie in sample.recommended:
        mark = "*" if movie.rank == sample.label_rank else " "
        print(f"   {mark} {movie.rank}. {movie.title}")
    if sample.label_rank is None:
        print(f"     watched next: {sample.label}")


def _first_windows(split: Path) -> Iterable[tuple[list[int], int]]:
    """Yield context and label of the first few examples, as movie ids."""
    files = sorted(str(path) for path in split.iterdir())
    found = 0
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        context = list(example[features.CONTEXT_MOVIE_ID].int64_list.value)
        if features.PAD_MOVIE_ID in context:
            continue
        yield context, example[features.LABEL_MOVIE_ID].int64_list.value[0]
        found += 1
        if found == _SAMPLES:
            return
