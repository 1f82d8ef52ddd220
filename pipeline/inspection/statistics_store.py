"""Where statistics come from: a run's artifacts, found through ML Metadata, or shards, counted here and now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tensorflow_metadata.proto.v0 import schema_pb2

from components.statistics.feature_statistics import SplitStatistics, read_split_statistics, split_names
from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.schema import schema_of
from data.examples.shards import SPLITS
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from pipeline.defaults import METADATA_FILE
from pipeline.error_messages import check_metadata_opens
from pipeline.metadata_store import open_store
from pipeline.relocation import Home

LATEST = "latest"
PREVIOUS = "previous"

_UNREADABLE = (mlmd.errors.StatusError, RuntimeError)
"""What ML Metadata raises on a damaged file, and on one that is no database."""
_UNPADDED_TYPE = "next_movie.UnpaddedExampleStatistics"


@dataclass(frozen=True)
class StatisticsSet:
    """Statistics of one set of examples.

    Attributes
    ----------
    name
        Its name on pages.
    unpadded, padded
        Folders of both kinds of statistics.
    examples
        Folder of the examples, with their manifest and catalogue.
    files
        For each split, its files of examples.
    """

    name: str
    unpadded: Path
    padded: Path
    examples: Path
    files: dict[str, list[str]]

    @property
    def manifest(self) -> Manifest:
        """The examples' manifest."""
        return Manifest.load(self.examples)

    @property
    def catalogue(self) -> Catalogue:
        """The movies that the examples may hold."""
        return Catalogue.load(self.examples / CATALOGUE_FILE)

    @property
    def splits(self) -> list[str]:
        """The splits that there are statistics of, train first."""
        return split_names(self.unpadded)

    def read_statistics(self, split: str) -> SplitStatistics:
        """Return a split's figures, padding left out.

        Raises
        ------
        InputError
            There is no such split.
        """
        if split not in self.splits:
            raise InputError(f"{self.name} has no split {split!r}: take one of {', '.join(self.splits)}", code="S01")
        return read_split_statistics(self.unpadded, split, self.manifest)

    def schema(self) -> schema_pb2.Schema:
        """Return the curated schema, completed for these examples."""
        return schema_of(self.manifest, self.catalogue)


@contextmanager
def open_source(which: str, work_dir: Path, pipeline: str | None = None) -> Iterator[StatisticsSet]:
    """Yield statistics; those that are counted here are removed when the context ends.

    Parameters
    ----------
    which
        `latest`, `previous`, the number of a run's statistics, or a folder of shards.
    work_dir
        Where `local_runner.py` writes.
    pipeline
        The pipeline's name; by default the one that ran last.

    Raises
    ------
    InputError
        There are none.
    """
    folder = Path(which)
    if which not in (LATEST, PREVIOUS) and not which.isdecimal():
        if not folder.is_dir():
            raise InputError(f"{which!r} is neither latest, previous, a number nor a folder of shards", code="S02")
        with TemporaryDirectory(prefix="statistics-") as scratch:
            yield _count(folder, Path(scratch))
        return
    yield _pick(which, find_sources(work_dir, pipeline))


def find_sources(work_dir: Path, pipeline: str | None = None) -> list[StatisticsSet]:
    """Return the statistics of all of a pipeline's runs, oldest first; runs that shared them count once.

    Parameters
    ----------
    work_dir
        Where `local_runner.py` writes.
    pipeline
        The pipeline's name; by default the one that ran last.

    Raises
    ------
    InputError
        Nothing ran there.
    """
    metadata = _find_metadata(work_dir, pipeline)
    check_metadata_opens(metadata)
    try:
        sources = list(_read_sources(open_store(str(metadata), read_only=True), Home.of(metadata)))
    except _UNREADABLE as error:
        raise InputError(f"{metadata} can't be read: {' '.join(str(error).split())}", code="S03") from error
    if not sources:
        raise InputError(
            f"no run of {metadata.parent.name} got as far as its statistics: run local_runner.py again", code="S05"
        )
    return sources


def _pick(which: str, sources: list[StatisticsSet]) -> StatisticsSet:
    if which == LATEST:
        return sources[-1]
    if which == PREVIOUS:
        if len(sources) < 2:
            raise InputError("there is no previous data: all runs so far had the same", code="S06")
        return sources[-2]
    if not 1 <= int(which) <= len(sources):
        raise InputError(f"there is no number {which}: there are 1 to {len(sources)}", code="S07")
    return sources[int(which) - 1]


def _find_metadata(work_dir: Path, pipeline: str | None) -> Path:
    found = sorted((work_dir / "pipelines").glob(f"*/{METADATA_FILE}"), key=_last_run)
    if pipeline is not None:
        names = [path.parent.name for path in found]
        if pipeline not in names:
            known = f"take one of {', '.join(sorted(names))}" if names else "nothing ran there yet"
            raise InputError(f"no pipeline {pipeline!r} ran in {work_dir}: {known}", code="S08")
        return found[names.index(pipeline)]
    if not found:
        raise InputError(
            f"nothing ran in {work_dir} yet: run local_runner.py, name another --work-dir, or a folder", code="S08"
        )
    return found[-1]


def _last_run(metadata: Path) -> int:
    """Return when a pipeline ran last, in milliseconds since 1970; 0 if its metadata can't be read.

    The file's own time changes when it is copied. One that is locked might be the one that is asked for.
    """
    check_metadata_opens(metadata)
    try:
        runs = open_store(str(metadata), read_only=True).get_contexts_by_type("pipeline_run")
    except _UNREADABLE:
        return 0
    return max((run.create_time_since_epoch for run in runs), default=0)


def _read_sources(store: mlmd.MetadataStore, home: Home) -> Iterator[StatisticsSet]:
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_type(_UNPADDED_TYPE)}
    events = store.get_events_by_artifact_ids(list(artifacts)) if artifacts else []
    made = {}
    for event in sorted(events, key=lambda event: -event.execution_id):
        # A cached execution has the same output as the one that made it, which is the earliest.
        if event.type == metadata_store_pb2.Event.OUTPUT:
            made[event.artifact_id] = event.execution_id
    number = 0
    for artifact_id in sorted(made):
        uris = _uris_of(store, made[artifact_id], home)
        unpadded, examples = Path(uris["unpadded"]), Path(uris["examples"])
        if not unpadded.is_dir() or not (examples / MANIFEST_FILE).is_file():
            # Folders may have been removed by hand.
            continue
        number += 1
        yield StatisticsSet(
            name=f"{home.pipeline} #{number}",
            unpadded=unpadded,
            padded=Path(uris["statistics"]),
            examples=examples,
            files={split: _listed(examples / f"Split-{split}") for split in SPLITS},
        )


def _uris_of(store: mlmd.MetadataStore, execution_id: int, home: Home) -> dict[str, str]:
    """Return the places of an execution's inputs and outputs by their names."""
    events = store.get_events_by_execution_ids([execution_id])
    artifacts = store.get_artifacts_by_id([event.artifact_id for event in events])
    uris = {artifact.id: home.present_path(artifact.uri) for artifact in artifacts}
    return {event.path.steps[0].key: uris[event.artifact_id] for event in events}


def _listed(folder: Path) -> list[str]:
    """Return the files of a folder; none where it was removed by hand."""
    return sorted(str(path) for path in folder.iterdir()) if folder.is_dir() else []


def _count(folder: Path, scratch: Path) -> StatisticsSet:
    """Return the statistics of a folder's shards, counted as the pipeline's StatisticsGen counts."""
    manifest = Manifest.load(folder)
    manifest.verify(folder)
    source = StatisticsSet(
        name=folder.name,
        unpadded=scratch / "unpadded",
        padded=scratch / "padded",
        examples=folder,
        files={split: [str(folder / shard.name) for shard in manifest.shards_of(split)] for split in SPLITS},
    )
    # Imported late: statistics that exist are read without TFX and Beam.
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.statistics.statistics_gen import raise_on_faults, stars_of, write_statistics
    from data.beam_options import IN_PROCESS_ARGS

    splits = [split for split in SPLITS if manifest.shards_of(split)]
    with beam.Pipeline(options=PipelineOptions(list(IN_PROCESS_ARGS))) as pipeline:
        for split in splits:
            write_statistics(
                pipeline,
                split,
                source.files[split],
                stars_of(manifest),
                manifest.pad_movie_id,
                padded=str(source.padded),
                unpadded=str(source.unpadded),
                schema=source.schema(),
            )
    for split in splits:
        raise_on_faults(split, str(source.unpadded))
    return source
