"""The Evaluator's figures and its decision, read from its artifacts and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma

from components.gate_settings import ModelGateSettings
from components.retrieval_metrics import LIFT, RECALL

CANDIDATE = "candidate"
BASELINE = "baseline"

_BLESSED_FILE = "BLESSED"

Metrics = dict[str, float]


@dataclass(frozen=True)
class Judgement:
    """The Evaluator's figures and its decision.

    Attributes
    ----------
    blessed
        The decision.
    candidate, baseline
        Metrics of the whole eval split by name; `baseline` is None where no model was blessed before.
    slices
        The candidate's metrics by slice, such as `("context_length", "10")`.
    reasons
        In words, one sentence a threshold.
    """

    blessed: bool
    candidate: Metrics
    baseline: Metrics | None
    slices: dict[tuple[str, str], Metrics]
    reasons: list[str]


def read_judgement(evaluation: Path, blessing: Path, gate: ModelGateSettings) -> Judgement:
    """Read what the Evaluator wrote.

    Parameters
    ----------
    evaluation, blessing
        Folders of its artifacts.
    gate
        The thresholds that were asked for, to say the decision in words.
    """
    has_baseline = _has_baseline(evaluation)
    candidate = _read_metrics(evaluation, CANDIDATE if has_baseline else None)
    overall = candidate.pop(())
    baseline = _read_metrics(evaluation, BASELINE)[()] if has_baseline else None
    return Judgement(
        blessed=(blessing / _BLESSED_FILE).exists(),
        candidate=overall,
        baseline=baseline,
        slices={(str(key[0][0]), _text(key[0][1])): metrics for key, metrics in candidate.items()},
        reasons=_say_reasons(overall, baseline, gate),
    )


def read_candidate_metrics(evaluation: Path) -> Metrics:
    """Return the judged model's metrics of the whole eval split, from the folder of an evaluation."""
    return _read_metrics(evaluation, CANDIDATE if _has_baseline(evaluation) else None)[()]


def _has_baseline(evaluation: Path) -> bool:
    return any(spec.is_baseline for spec in tfma.load_eval_result(str(evaluation)).config.model_specs)


def _read_metrics(evaluation: Path, model_name: str | None) -> dict[tuple[Any, ...], Metrics]:
    """Return metrics by TFMA's slice key; the whole split's is the empty tuple."""
    result = tfma.load_eval_result(str(evaluation), model_name=model_name)
    return {
        key: {name: value["doubleValue"] for name, value in of_output[""][""].items()}
        for key, of_output in result.slicing_metrics
    }


def _say_reasons(candidate: Metrics, baseline: Metrics | None, gate: ModelGateSettings) -> list[str]:
    lift, recall = candidate[LIFT], candidate[RECALL]
    verdict = "meets" if lift >= gate.min_recall_at_10_lift else "misses"
    reasons = [
        f"recall@10 is {lift:.2f} times popularity's, which {verdict} the required {gate.min_recall_at_10_lift:g} times"
    ]
    if baseline is None:
        reasons.append("no model was blessed before, so there is none to compare with")
    else:
        change = recall - baseline[RECALL]
        verdict = "within" if change >= -gate.max_recall_at_10_drop else "beyond"
        reasons.append(
            f"recall@10 differs by {change:+.4f} from the last blessed model's, {verdict} the allowed drop of "
            f"{gate.max_recall_at_10_drop:g}"
        )
    return reasons


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
