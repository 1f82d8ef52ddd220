"""Finding artifacts of earlier runs."""

from __future__ import annotations

import ml_metadata as mlmd
from tfx import types
from tfx import v1 as tfx


class PreviousStatistics(tfx.dsl.experimental.ResolverStrategy):
    """Picks the newest statistics other than the current run's.

    The plain latest-artifact strategy would answer with the run's own statistics. A run that finds its statistics
    in the cache gets the same answer again, so that what follows stays cached too.
    """

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Return `previous`, emptied of all but that one artifact, and `current` as it is."""
        current = {artifact.id for artifact in input_dict["current"]}
        others = [artifact for artifact in input_dict["previous"] if artifact.id not in current]
        newest = sorted(others, key=lambda artifact: artifact.id)[-1:]
        return {"current": input_dict["current"], "previous": newest}
