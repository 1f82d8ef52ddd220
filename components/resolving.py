"""Finding artifacts of earlier runs."""

from __future__ import annotations

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx import v1 as tfx

from components.data_gate import DataGate

_GATE_TYPE = f"{DataGate.__module__}.{DataGate.__name__}"
_PASSED = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)


class PreviousStatistics(tfx.dsl.experimental.ResolverStrategy):
    """Picks the newest statistics, other than the current run's, of data that the gate let pass.

    The plain latest-artifact strategy would answer with the run's own statistics, or with those of refused data,
    from which the good data would then seem to have drifted. A run that finds its statistics in the cache gets the
    same answer again, so that what follows stays cached too.
    """

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Return `previous`, emptied of all but that one artifact, and `current` as it is."""
        current = {artifact.id for artifact in input_dict["current"]}
        passed = _passed_the_gate(store)
        others = [artifact for artifact in input_dict["previous"] if artifact.id in passed - current]
        newest = sorted(others, key=lambda artifact: artifact.id)[-1:]
        return {"current": input_dict["current"], "previous": newest}


def _passed_the_gate(store: mlmd.MetadataStore) -> set[int]:
    """Return the ids of the statistics that a finished data gate judged."""
    passed = [run.id for run in store.get_executions_by_type(_GATE_TYPE) if run.last_known_state in _PASSED]
    return {
        event.artifact_id
        for event in store.get_events_by_execution_ids(passed)
        if event.type == metadata_store_pb2.Event.INPUT and event.path.steps[0].key == "statistics"
    }
