"""What the steps on Beam leave, in forms in which two of a kind can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from google.protobuf import json_format

from components.evaluation.model_gate import Evaluation
from components.statistics.feature_statistics import STATISTICS_FILE
from trainer_module.preprocessing import VOCABULARY

SPLITS = ("train", "eval")


def statistics(folder: Path, split: str) -> dict[str, Any]:
    """Read a split's statistics; the order of features means nothing, and sums of many numbers end in rounding."""
    (dataset,) = tfdv.load_stats_binary(str(folder / f"Split-{split}" / STATISTICS_FILE)).datasets
    content = _rounded(json_format.MessageToDict(dataset))
    content["features"].sort(key=lambda feature: feature["path"]["step"])
    return content


def vocabulary(folder: Path) -> bytes:
    """Read the vocabulary of a transform graph."""
    return Path(tft.TFTransformOutput(str(folder)).vocabulary_file_by_name(VOCABULARY)).read_bytes()


def metrics(evaluation: Evaluation) -> dict[tuple[Any, str], float]:
    """Return the metrics of both models and of all slices, and the difference, by what they are of and name.

    They are to be compared by `pytest.approx`: sums of many numbers end in rounding.
    """
    parts: dict[Any, Mapping[str, float]] = {"candidate": evaluation.candidate, **evaluation.slices}
    if evaluation.baseline is not None and evaluation.difference is not None:
        parts |= {"baseline": evaluation.baseline, "difference": asdict(evaluation.difference)}
    return {(part, name): value for part, values in parts.items() for name, value in values.items()}


def _rounded(value: Any) -> Any:
    """Return a value whose numbers have twelve digits."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.12g}") if isinstance(value, float) else value
