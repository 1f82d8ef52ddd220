"""Which data an artifact of a run came from, by its lineage in ML Metadata."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from serving.artifact_files import exists, read_manifest

_Event = metadata_store_pb2.Event

_EXAMPLES = "examples"
"""Name of each step's input of examples."""


def manifest_behind(
    store: mlmd.MetadataStore,
    artifact_id: int,
    present: Callable[[metadata_store_pb2.Artifact], metadata_store_pb2.Artifact] = lambda artifact: artifact,
) -> Manifest | None:
    """Return the manifest of the examples behind an artifact, which its step read; None if it is gone or damaged.

    Parameters
    ----------
    store
        The pipeline's metadata.
    artifact_id
        The artifact's id there.
    present
        Returns an artifact with its URI as it is now, for metadata of a folder that was moved since.
    """
    makers = [
        event.execution_id for event in store.get_events_by_artifact_ids([artifact_id]) if event.type == _Event.OUTPUT
    ]
    read = [
        event.artifact_id
        for event in store.get_events_by_execution_ids(makers)
        if event.type == _Event.INPUT and event.path.steps[0].key == _EXAMPLES
    ]
    for artifact in map(present, store.get_artifacts_by_id(read)):
        if exists(f"{artifact.uri}/{MANIFEST_FILE}"):
            with contextlib.suppress(InputError):
                return read_manifest(artifact.uri)
    return None
