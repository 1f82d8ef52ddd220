"""Extractors for the Evaluator that keep examples of the same slices together.

Stock TFMA takes batches apart once predictions are made, and carries every example by itself through slicing and
combining: most of what an evaluation costs. Our metrics need nothing of an example but its ranks, so that all examples
of a batch that fall into the same slices can travel as one. TFMA's own extractors do all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluation.histories_together import TogetherByUser
from serving.export_record import read_record

_FOR_METRICS = (tfma.PREDICTIONS_KEY, tfma.LABELS_KEY, tfma.EXAMPLE_WEIGHTS_KEY)
"""What TFMA hands to metrics. The two last are asked for even where a model has none."""


def custom_extractors(
    eval_shared_model: Any, eval_config: tfma.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """Return TFMA's default extractors with grouping in the place of unbatching; TFX calls this by its name.

    Where a model reads whole histories, batches are put together anew before all.

    Parameters
    ----------
    eval_shared_model
        One model, or a candidate and a baseline.
    eval_config
        Its slicing specifications name the features to group by.
    tensor_adapter_config
        How TFMA reads features.

    Raises
    ------
    ValueError
        TFMA unbatches in another way than it did.
    """
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    stages = [extractor.stage_name for extractor in extractors]
    place = stages.index(tfma.extractors.UnbatchExtractor().stage_name)
    sliced_by = sorted({name for spec in eval_config.slicing_specs for name in spec.feature_keys})
    grouping = tfma.extractors.Extractor(
        stage_name="GroupExamples", ptransform=beam.FlatMap(group_examples, sliced_by=sliced_by)
    )
    extractors = [*extractors[:place], grouping, *extractors[place + 1 :]]
    models = eval_shared_model if isinstance(eval_shared_model, list) else [eval_shared_model]
    if any(model is not None and read_record(model.model_path).reads == "history" for model in models):
        together = tfma.extractors.Extractor(stage_name="HistoriesTogether", ptransform=TogetherByUser())
        return [together, *extractors]
    return extractors


def group_examples(batch: dict[str, Any], sliced_by: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Split a batch into examples that fall into the same slices.

    Parameters
    ----------
    batch
        TFMA's extracts: features by name, one value an example, and what metrics are made from, nested by model and
        output, arrays `[batch, ...]`.
    sliced_by
        Features that decide on the slices.

    Yields
    ------
    dict
        Extracts that look like one example's to TFMA's slicing: the features that decide, and for metrics the rows of
        all examples that share them, arrays `[group, ...]`.
    """
    features = batch[tfma.FEATURES_KEY]
    columns = [np.asarray(features[name]).reshape(-1) for name in sliced_by]
    rows: dict[tuple[Any, ...], list[int]] = {}
    # Not by any feature: histories may be of any length, and then TFMA holds no array of a row for each example.
    number = len(columns[0]) if columns else len(batch[tfma.INPUT_KEY])
    for row, *values in zip(range(number), *columns, strict=True):
        rows.setdefault(tuple(values), []).append(row)
    for group in rows.values():
        yield {
            tfma.FEATURES_KEY: {name: features[name][group[0]] for name in sliced_by},
            **{key: _take(batch[key], np.array(group)) for key in _FOR_METRICS if key in batch},
        }


def _take(arrays: Any, rows: np.ndarray) -> Any:
    if isinstance(arrays, dict):
        return {name: _take(inner, rows) for name, inner in arrays.items()}
    return None if arrays is None else arrays[rows]
