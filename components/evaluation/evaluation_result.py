"""The Evaluator's figures and its decision, read from its artifacts and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma

from components.evaluation.metric_names import DIFFERENCE, DIFFERENCE_HIGH, DIFFERENCE_LOW, QUERIES
from components.evaluation.model_gate import NO_EARLIER_MODEL, Check, Evaluation, Metrics, decide
from components.evaluation.paired_difference import PairedDifference
from components.gate_settings import ModelGateSettings

CANDIDATE = "candidate"
BASELINE = "baseline"

_BLESSED_FILE = "BLESSED"
_OF_DIFFERENCES = "_diff"
"""What TFMA appends to the names of metrics that compare two models."""


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
        The gate's checks with their outcomes.
    no_baseline
        Why there was no model to compare with; None where there was one.
    """

    blessed: bool
    evaluation: Evaluation
    checks: list[Check]
    no_baseline: str | None = None

    @property
    def reasons(self) -> list[str]:
        """The decision in words, one sentence for each check."""
        said = [check.sentence for check in self.checks]
        return said if self.no_baseline is None else [*said, f"compared with none: {self.no_baseline}"]


def read_evaluation_result(
    evaluation: Path, blessing: Path, gate: ModelGateSettings, no_baseline: str | None = None
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
    """
    found = read_evaluation(evaluation)
    return EvaluationResult(
        blessed=is_blessed(blessing),
        evaluation=found,
        checks=decide(found, gate),
        no_baseline=(no_baseline or NO_EARLIER_MODEL) if found.baseline is None else None,
    )


def is_blessed(blessing: Path) -> bool:
    """Return the Evaluator's decision, from the folder of a blessing."""
    return (blessing / _BLESSED_FILE).exists()


def read_evaluation(evaluation: Path) -> Evaluation:
    """Return the figures in the folder of an evaluation."""
    has_baseline = _has_baseline(evaluation)
    by_slice = _read_metrics(evaluation, CANDIDATE if has_baseline else None)
    candidate = by_slice.pop(())
    return Evaluation(
        candidate=candidate,
        slices={(str(key[0][0]), _text(key[0][1])): metrics for key, metrics in by_slice.items()},
        baseline=_read_metrics(evaluation, BASELINE)[()] if has_baseline else None,
        difference=_difference(candidate) if has_baseline else None,
    )


def _difference(candidate: Metrics) -> PairedDifference | None:
    """Return the measured difference; None in an evaluation of an earlier version, which measured none."""
    mean, low, high = (
        candidate.get(f"{name}{_OF_DIFFERENCES}") for name in (DIFFERENCE, DIFFERENCE_LOW, DIFFERENCE_HIGH)
    )
    if mean is None or low is None or high is None:
        return None
    return PairedDifference(mean, low, high, queries=round(candidate[QUERIES]))


def _has_baseline(evaluation: Path) -> bool:
    return any(spec.is_baseline for spec in tfma.load_eval_result(str(evaluation)).config.model_specs)


def _read_metrics(evaluation: Path, model_name: str | None) -> dict[tuple[Any, ...], dict[str, float]]:
    """Return metrics by TFMA's slice key; the whole split's is the empty tuple."""
    result = tfma.load_eval_result(str(evaluation), model_name=model_name)
    return {
        # JSON spells what is no number as text.
        key: {name: float(value["doubleValue"]) for name, value in of_output[""][""].items()}
        for key, of_output in result.slicing_metrics
    }


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
