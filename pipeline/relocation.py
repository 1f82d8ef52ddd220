"""Work directories that were moved or copied: ML Metadata holds absolute paths, which have to follow.

A work directory's layout is fixed, so a path that was recorded in one is found again in the same place of another:

    <work directory>/pipelines/<pipeline>/metadata.sqlite
    <work directory>/pipelines/<pipeline>/artifacts/<node>/<output>/<execution>
    <work directory>/serving/<name>/<version>
    <work directory>/data/<pipeline>
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from data.errors import InputError
from pipeline.error_messages import describe_failure
from pipeline.metadata_store import open_store

_PIPELINES, _ARTIFACTS = "pipelines", "artifacts"
_FOLDERS = frozenset({_PIPELINES, "serving", "data"})


@dataclass(frozen=True)
class Home:
    """Where a pipeline's runs lie now.

    Attributes
    ----------
    work_dir
        The work directory, symlinks resolved as for the paths that a run records.
    pipeline
        The pipeline's name.
    """

    work_dir: PurePosixPath
    pipeline: str

    @classmethod
    def of(cls, metadata_file: str | Path) -> Home:
        """Return the home of a pipeline by its SQLite file of ML Metadata."""
        folder = Path(metadata_file).parent
        return cls(PurePosixPath(folder.parent.parent.resolve()), folder.name)

    def former(self, uri: str) -> PurePosixPath | None:
        """Return the work directory in which an artifact of this pipeline got its URI; None for any other text.

        TFX ends a URI with node, output and execution, so it is read from its end: no folder above the work directory
        can be mistaken for one in it.
        """
        path = PurePosixPath(uri)
        if not path.is_absolute() or len(path.parts) < 7:
            return None
        *folders, _, _, execution = path.parts[-6:]
        named_by_tfx = folders == [_PIPELINES, self.pipeline, _ARTIFACTS] and execution.isdecimal()
        return path.parents[5] if named_by_tfx else None

    def present_path(self, recorded: str, beside: str = "") -> str:
        """Return where a recorded path lies now; other text, and paths of no work directory, are returned unchanged.

        Parameters
        ----------
        recorded
            Text from ML Metadata.
        beside
            The URI of the artifact that holds it. A path below the same work directory has moved with it.
        """
        path, former = PurePosixPath(recorded), self.former(recorded) or self.former(beside)
        if former is None or former == self.work_dir or not path.is_relative_to(former):
            return recorded
        inner = path.relative_to(former)
        return str(self.work_dir / inner) if inner.parts[:1] and inner.parts[0] in _FOLDERS else recorded

    def present(self, artifact: metadata_store_pb2.Artifact) -> metadata_store_pb2.Artifact:
        """Return an artifact with the paths in its URI and properties as they are now."""
        found = metadata_store_pb2.Artifact()
        found.CopyFrom(artifact)
        found.uri = self.present_path(artifact.uri)
        for properties in (found.properties, found.custom_properties):
            for value in properties.values():
                if value.WhichOneof("value") == "string_value":
                    value.string_value = self.present_path(value.string_value, beside=artifact.uri)
        return found


def reroot(metadata_file: str | Path) -> bool:
    """Update the paths of artifacts in ML Metadata to where they lie now; write nothing if they are right.

    The properties of executions, such as the folder of the data, stay: they record what happened.

    Parameters
    ----------
    metadata_file
        The pipeline's SQLite file; it may be missing.

    Returns
    -------
    bool
        Whether the work directory was moved or copied since the last run.

    Raises
    ------
    InputError
        The file can't be read, or written.
    """
    metadata = Path(metadata_file)
    if not metadata.exists():
        return False
    home = Home.of(metadata)
    try:
        recorded = open_store(str(metadata), read_only=True).get_artifacts()
        moved = [present for artifact in recorded if (present := home.present(artifact)) != artifact]
        if moved:
            # One call is one transaction: a run that is killed here leaves all of them as they were.
            open_store(str(metadata)).put_artifacts(moved)
    except mlmd.errors.StatusError as error:
        reason = describe_failure(error, Path(home.work_dir))
        raise InputError(
            f"{metadata} can't be updated with its new place: {reason.message}", code=reason.code
        ) from error
    return bool(moved)
