"""What a model was trained on, from ML Metadata alone."""

from __future__ import annotations

import json

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from components.history.seen_data import SpanSplit, check_unseen, seen_by
from data.errors import InputError


class Lineage:
    """A store in memory, with trainings written as TFX writes them."""

    def __init__(self) -> None:
        config = pb.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = mlmd.MetadataStore(config)
        self._kinds = {name: self.store.put_artifact_type(pb.ArtifactType(name=name)) for name in ("Examples", "Model")}
        self._trainer = self.store.put_execution_type(pb.ExecutionType(name="Trainer"))

    def examples(self, span: int) -> int:
        made = pb.Artifact(type_id=self._kinds["Examples"])
        made.custom_properties["span"].int_value = span
        return self.store.put_artifacts([made])[0]

    def train(self, examples: list[int], base: int | None = None) -> int:
        run = pb.Execution(type_id=self._trainer)
        run.custom_properties["train_args"].string_value = json.dumps({"splits": ["train"]})
        (execution,) = self.store.put_executions([run])
        (model,) = self.store.put_artifacts([pb.Artifact(type_id=self._kinds["Model"])])
        read = [("examples", artifact) for artifact in examples] + ([("base_model", base)] if base else [])
        self._link(execution, pb.Event.INPUT, read)
        self._link(execution, pb.Event.OUTPUT, [("model", model)])
        return model

    def _link(self, execution: int, kind: int, artifacts: list[tuple[str, int]]) -> None:
        events = []
        for name, artifact in artifacts:
            event = pb.Event(execution_id=execution, artifact_id=artifact, type=kind)
            event.path.steps.add().key = name
            events.append(event)
        self.store.put_events(events)


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
