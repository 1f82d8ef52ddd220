"""Artifacts whose files were deleted by hand: ML Metadata is told, so that no run relies on them.

TFX takes only LIVE artifacts from the cache, as a baseline, or as what a step reads. It never looks at the files behind
them but for the folder itself, so that a record outlives what it names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.naming import SAVED_MODEL
from data.errors import InputError
from data.examples.manifest import Manifest
from data.examples.shards import SPLITS
from pipeline.error_messages import describe_failure
from pipeline.metadata_store import open_store
from pipeline.relocation import Home
from serving.versions import GRAPH_FILE, published_versions


def mark_deleted(metadata_file: str | Path) -> Counter[str]:
    """Mark artifacts without their files as DELETED in ML Metadata, and those whose files came back as LIVE.

    Parameters
    ----------
    metadata_file
        The pipeline's SQLite file; it may be missing.

    Returns
    -------
    Counter
        How many artifacts of each node are newly marked as deleted, but for publications that newer ones followed.

    Raises
    ------
    InputError
        The file can't be read, or written.
    """
    metadata = Path(metadata_file)
    if not metadata.exists():
        return Counter()
    home = Home.of(metadata)
    try:
        store = open_store(str(metadata), read_only=True)
        kinds = {kind.id: kind.name for kind in store.get_artifact_types()}
        ours = [artifact for artifact in store.get_artifacts() if home.former(artifact.uri) == home.work_dir]
        changed = [
            changed
            for artifact in ours
            if (changed := _with_present_state(artifact, kinds[artifact.type_id])) is not None
        ]
        if changed:
            open_store(str(metadata)).put_artifacts(changed)
    except (mlmd.errors.StatusError, RuntimeError) as error:
        reason = describe_failure(error, Path(home.work_dir))
        raise InputError(f"{metadata} can't be updated: {reason.message}", code=reason.code) from error
    return Counter(
        Path(artifact.uri).parts[-3]
        for artifact in changed
        if artifact.state == metadata_store_pb2.Artifact.DELETED and not _is_superseded(artifact)
    )


def _with_present_state(artifact: metadata_store_pb2.Artifact, kind: str) -> metadata_store_pb2.Artifact | None:
    """Return an artifact in the state that its files are in; None if it is in that state."""
    if artifact.state not in (metadata_store_pb2.Artifact.LIVE, metadata_store_pb2.Artifact.DELETED):
        return None
    state = metadata_store_pb2.Artifact.LIVE if has_files(artifact, kind) else metadata_store_pb2.Artifact.DELETED
    if artifact.state == state:
        return None
    changed = metadata_store_pb2.Artifact()
    changed.CopyFrom(artifact)
    changed.state = state
    return changed


def has_files(artifact: metadata_store_pb2.Artifact, kind: str) -> bool:
    """Return whether an artifact's files are there, as far as their names tell.

    Parameters
    ----------
    artifact
        With its URI as it is now.
    kind
        The name of its type.
    """
    folder = Path(artifact.uri)
    if kind == "PushedModel":
        # Its own folder is empty: what was published is the artifact.
        destination = _text(artifact.custom_properties, "pushed_destination")
        return folder.is_dir() and (not destination or (Path(destination) / GRAPH_FILE).is_file())
    if kind == "Model":
        return _is_saved_model(folder / SAVED_MODEL)
    if kind == "Examples" and not _has_shards(folder):
        return False
    splits = _text(artifact.properties, "split_names")
    return all(map(_holds_a_file, [folder / f"Split-{split}" for split in json.loads(splits)] if splits else [folder]))


def _text(properties: Mapping[str, metadata_store_pb2.Value], name: str) -> str:
    """Return a property's text; asked for by its key alone, a missing one would be added."""
    return properties[name].string_value if name in properties else ""


def _is_saved_model(folder: Path) -> bool:
    return (folder / GRAPH_FILE).is_file() and (folder / "variables" / "variables.index").is_file()


def _is_superseded(artifact: metadata_store_pb2.Artifact) -> bool:
    """Return whether an artifact is a publication that newer ones have followed: old ones are removed in time."""
    destination = Path(_text(artifact.custom_properties, "pushed_destination"))
    return destination.name.isdecimal() and any(
        version > int(destination.name) for version in published_versions(destination.parent)
    )


def _has_shards(folder: Path) -> bool:
    try:
        manifest = Manifest.load(folder)
    except InputError:
        return False
    # ExampleGen names them anew.
    return all(
        len(list((folder / f"Split-{split}").glob("data_tfrecord-*"))) == len(manifest.shards_of(split))
        for split in SPLITS
    )


def _holds_a_file(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))
