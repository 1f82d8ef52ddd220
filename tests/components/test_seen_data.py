"""What a model was trained on, from ML Metadata alone."""

from __future__ import annotations

import pytest
from span_lineage import Lineage

from components.history.seen_data import SpanSplit, check_unseen, seen_by
from data.errors import InputError


def test_a_model_has_seen_the_train_splits_of_its_range_and_what_the_model_it_started_from_has_seen():
    lineage = Lineage()
    spans = [lineage.examples(span) for span in (1, 2, 3)]
    first = lineage.train(spans[:1])
    second = lineage.train(spans[1:], base=first)
    assert seen_by(lineage.store, first) == {SpanSplit(1, "train")}
    assert seen_by(lineage.store, second) == {SpanSplit(1, "train"), SpanSplit(2, "train"), SpanSplit(3, "train")}


def test_an_evaluation_on_what_a_model_was_trained_on_is_an_error_and_no_figure():
    lineage = Lineage()
    first = lineage.train([lineage.examples(1)])
    second = lineage.train([lineage.examples(2)], base=first)
    check_unseen(lineage.store, second, 1, "eval")
    check_unseen(lineage.store, first, 2, "train")
    with pytest.raises(InputError, match="train split of span 1") as refused:
        check_unseen(lineage.store, second, 1, "train")
    assert refused.value.code == "M33"
