"""Which examples of spans are learned from: those that the data gate let pass, and later revisions of them."""

from __future__ import annotations

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from components.history.spans import accepted_ids
from components.naming import REVISION_TYPE


class Lineage:
    """A store in memory, with steps written as TFX writes them."""

    def __init__(self) -> None:
        config = pb.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = mlmd.MetadataStore(config)

    def make(self, step: str, kind: str, **read: int) -> int:
        execution_type = self.store.put_execution_type(pb.ExecutionType(name=step))
        artifact_type = self.store.put_artifact_type(pb.ArtifactType(name=kind))
        (execution,) = self.store.put_executions([pb.Execution(type_id=execution_type)])
        (made,) = self.store.put_artifacts([pb.Artifact(type_id=artifact_type)])
        events = [(name, artifact, pb.Event.INPUT) for name, artifact in read.items()]
        for name, artifact, event_type in [*events, ("made", made, pb.Event.OUTPUT)]:
            event = pb.Event(execution_id=execution, artifact_id=artifact, type=event_type)
            event.path.steps.add().key = name
            self.store.put_events([event])
        return made

    def examples(self, *, accepted: bool) -> int:
        examples = self.make("ExampleGen", "Examples")
        statistics = self.make("StatisticsGen", "ExampleStatistics", examples=examples)
        if accepted:
            self.make("DataGate", "next_movie.DataVerdict", statistics=statistics)
        return examples

    def revise(self, examples: int) -> int:
        return self.make(REVISION_TYPE, "Examples", examples=examples)


@pytest.fixture
def lineage() -> Lineage:
    return Lineage()


def test_nothing_is_accepted_before_the_first_verdict(lineage):
    lineage.store.put_artifact_type(pb.ArtifactType(name="next_movie.DataVerdict"))
    assert accepted_ids(lineage.store) == set()


def test_a_revision_is_accepted_with_what_it_takes_the_place_of(lineage):
    accepted, refused = lineage.examples(accepted=True), lineage.examples(accepted=False)
    assert accepted_ids(lineage.store) == {accepted}
    second = lineage.revise(accepted)
    lineage.revise(refused)
    third = lineage.revise(second)
    assert accepted_ids(lineage.store) == {accepted, second, third}
