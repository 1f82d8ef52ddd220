"""Trainings as ML Metadata know them, without any having run."""

from __future__ import annotations

import json

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2 as pb


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

    def train(self, examples: list[int], base: int | None = None, uri: str = "") -> int:
        run = pb.Execution(type_id=self._trainer)
        run.custom_properties["train_args"].string_value = json.dumps({"splits": ["train"]})
        (execution,) = self.store.put_executions([run])
        (model,) = self.store.put_artifacts([pb.Artifact(type_id=self._kinds["Model"], uri=uri)])
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
