"""The Evaluator's figures and its decision, read from its artifacts and put into words."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import tensorflow_model_analysis as tfma

from components.evaluation.metric_names import DIFFERENCE, DIFFERENCE_HIGH, DIFFERENCE_LOW, QUERIES
from components.evaluation.model_gate import NO_BASELINE, Evaluation, Metrics, Slice, decide
from components.evaluation.paired_difference import PairedDifference
from components.finding import Finding
from components.gate_settings import ModelGateSettings
from components.naming import LAST_BLESSED
from serving.export_record import read_record

CANDIDATE = "candidate"
BASELINE = "baseline"

_CONFIG_FILE = "eval_config.json"
_READS = {"context": "the last movies alone", "history": "whole histories"}
_BLESSED_FILE = "BLESSED"
_OF_DIFFERENCES = "_diff"
"""What is appended to the names of metrics that compare two models, as TFMA's own views do."""

_WHOLE_SPLIT = None
"""The key of the metrics of all queries, beside those of slices."""

_BySlice = dict[Slice | None, dict[str, float]]


@dataclass(frozen=True)
class EvaluationResult:
    """The Evaluator's figures and its decision.

    Attributes
    ----------
    blessed
        The decision.
    evaluation
        The figures that it was made on.
    checks
        What came of each of the gate's requirements.
    no_baseline
        Why there was no model to compare with; None where there was one.
    compared_with
        Which model that is, in words.
    forms
        What either model reads, where they differ; else None.
    """

    blessed: bool
    evaluation: Evaluation
    checks: list[Finding]
    no_baseline: str | None = None
    compared_with: str = LAST_BLESSED
    forms: str | None = None

    @property
    def reasons(self) -> list[str]:
        """The decision in words, one sentence for each requirement."""
        sentences = [check.sentence for check in self.checks] + ([self.forms] if self.forms is not None else [])
        return sentences if self.no_baseline is None else [*sentences, f"compared with none: {self.no_baseline}"]


def read_evaluation_result(
    evaluation: Path,
    blessing: Path,
    gate: ModelGateSettings,
    no_baseline: str | None = None,
    compared_with: str = LAST_BLESSED,
) -> EvaluationResult:
    """Read what the Evaluator wrote.

    Parameters
    ----------
    evaluation, blessing
        Folders of its artifacts.
    gate
        The thresholds that were asked for.
    no_baseline
        Why there was no model to compare with, if it is known and there was none.
    compared_with
        Which model that is, in words.
    """
    found = read_evaluation(evaluation)
    return EvaluationResult(
        blessed=is_blessed(blessing),
        evaluation=found,
        checks=decide(found, gate, compared_with),
        no_baseline=(no_baseline or NO_BASELINE[compared_with]) if found.baseline is None else None,
        compared_with=compared_with,
        forms=_forms_of(evaluation, compared_with) if found.baseline is not None else None,
    )


def _forms_of(evaluation: Path, compared_with: str) -> str | None:
    """Return in a sentence what candidate and baseline read, where it is not the same.

    TFMA says where it had them from; one that is no longer there tells nothing.
    """
    with suppress(OSError, ValueError):
        models = json.loads((evaluation / _CONFIG_FILE).read_text(encoding="utf-8"))["modelLocations"]
        records = {name: read_record(folder) for name, folder in models.items()}
        baseline = records.pop(BASELINE)
        (candidate,) = records.values()
        if candidate.data is not None and baseline.data is not None and candidate.reads != baseline.reads:
            ours, other = _READS[candidate.reads], _READS[baseline.reads]
            return f"asked about the same examples, this model reads {ours} and the {compared_with} one {other}"
    return None


def is_blessed(blessing: Path) -> bool:
    """Return the Evaluator's decision, from the folder of a blessing."""
    return (blessing / _BLESSED_FILE).exists()


def read_evaluation(evaluation: Path) -> Evaluation:
    """Return the figures in the folder of an evaluation, which is read once."""
    of_models = _read_metrics(evaluation)
    baseline = of_models.pop(BASELINE, None)
    # TFMA names the models only where there are two.
    ((_, by_slice),) = of_models.items()
    candidate = by_slice.pop(_WHOLE_SPLIT)
    return Evaluation(
        candidate=candidate,
        slices={of_slice: metrics for of_slice, metrics in by_slice.items() if of_slice is not None},
        baseline=baseline[_WHOLE_SPLIT] if baseline is not None else None,
        difference=_difference(candidate) if baseline is not None else None,
    )


def _difference(candidate: Metrics) -> PairedDifference | None:
    """Return the measured difference; None in an evaluation of an earlier version, which measured none."""
    mean, low, high = (
        candidate.get(f"{name}{_OF_DIFFERENCES}") for name in (DIFFERENCE, DIFFERENCE_LOW, DIFFERENCE_HIGH)
    )
    if mean is None or low is None or high is None:
        return None
    return PairedDifference(mean, low, high, queries=round(candidate[QUERIES]))


def _read_metrics(evaluation: Path) -> dict[str, _BySlice]:
    """Return metrics by model, slice and name."""
    found: defaultdict[str, _BySlice] = defaultdict(dict)
    for of_slice in tfma.load_metrics(str(evaluation)):
        cut = _slice_of(of_slice)
        for metric in of_slice.metric_keys_and_values:
            name = f"{metric.key.name}{_OF_DIFFERENCES if metric.key.is_diff else ''}"
            found[metric.key.model_name].setdefault(cut, {})[name] = metric.value.double_value.value
    return dict(found)


def _slice_of(metrics: tfma.proto.metrics_for_slice_pb2.MetricsForSlice) -> Slice | None:
    """Return the feature and value of a slice, which cuts by one feature; None for the whole split."""
    for part in metrics.slice_key.single_slice_keys:
        value = getattr(part, part.WhichOneof("kind"))
        return part.column, value.decode() if isinstance(value, bytes) else str(value)
    return _WHOLE_SPLIT
