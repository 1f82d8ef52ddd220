"""The summary of a run at the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from components.evaluation.metric_names import QUERIES
from components.naming import EXAMPLES
from components.report.metrics import metric_rows
from components.report.report_model import MetricRow, Sample, SpanDay
from components.report.samples import sample_recommendations
from data.columns import columns
from data.words import Words
from pipeline.runs.record import RunRecord

_SHOWN_HISTORY = 3


def print_summary(record: RunRecord, words: Words, days: Sequence[SpanDay] = ()) -> None:
    """Print what a run did.

    Parameters
    ----------
    record
        The run, of which steps, metrics, decision, place and sample recommendations are shown.
    words
        What the items are called.
    days
        The spans so far, if it is a run of one of them.
    """
    print("\nSteps")
    steps = [[step.name, step.state, f"{step.seconds:.1f}"] for step in record.steps]
    print(columns([["step", "state", "seconds"], *steps]))
    for day in days:
        if day.current and day.recall is not None:
            print(
                f"\nServed before\n  version {day.version} on span {day.span}, which it had not seen: "
                f"recall@10 {day.recall:.4f}, NDCG@10 {day.ndcg:.4f}, of {day.queries:,} queries"
            )
    if record.evaluation_result is not None:
        print(f"\nMetrics on the eval split, the context's own {words.many} left out")
        evaluation_result = record.evaluation_result
        header = ["metric", "model", "popularity", "recent", evaluation_result.compared_with, "required"]
        print(columns([header, *(_cells_of(row) for row in metric_rows(evaluation_result))]))
        print(f"  of {evaluation_result.evaluation.candidate[QUERIES]:,.0f} queries")
        print("\nDecision")
        print(f"  {'blessed' if evaluation_result.blessed else 'NOT blessed'}")
        for reason in evaluation_result.reasons:
            print(f"  - {reason}")
    if record.choice is not None:
        print(f"  - {record.choice.sentence}")
    if record.servability is not None:
        for finding in record.servability.findings:
            print(f"  - not servable: {finding.sentence}")
    if record.audit is not None and record.audit.findings and record.audit.mode != "note":
        print(f"\nAudit{': the model is not published' if record.audit.stops else ''}")
        for out_of_bounds in record.audit.findings:
            print(f"  - {out_of_bounds.sentence}")
    model = record.published
    print(f"\nModel\n  {f'published: {model}' if model else 'not published; what was served before still is'}")
    examples = record.folder(EXAMPLES)
    if model is not None and examples is not None:
        print("\nThree histories of the eval split, and what the model recommends")
        for sample in sample_recommendations(model, examples):
            _print_sample(sample, words)


def _cells_of(row: MetricRow) -> list[str]:
    return [
        row.label,
        "" if row.model is None else f"{row.model:.4f}",
        "" if row.popularity is None else f"{row.popularity:.4f}",
        "" if row.recent_popularity is None else f"{row.recent_popularity:.4f}",
        "" if row.baseline is None else f"{row.baseline:.4f}",
        "" if row.required is None else f">= {row.required:.4g}",
    ]


def _print_sample(sample: Sample, words: Words) -> None:
    shown = sample.history[-_SHOWN_HISTORY:]
    earlier = len(sample.history) - len(shown)
    print(f"  {words.taken} {'; '.join(shown)}" + (f" (and {earlier} before)" if earlier else ""))
    for movie in sample.recommended:
        mark = "*" if movie.is_label else " "
        print(f"   {mark} {movie.rank}. {movie.title}")
    if not sample.is_hit:
        place = f"rank {sample.label_rank:,}" if sample.label_rank is not None else "unknown to the model"
        print(f"     {words.taken} next: {sample.label} ({place})")
