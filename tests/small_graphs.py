"""Pipelines of a few real components over artifacts that lie ready."""

import shutil
from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from components.gate_settings import ModelGateSettings
from data.beam_options import IN_PROCESS_ARGS
from pipeline.runs.record import RunRecord, read_run_record

_BEAM = list(IN_PROCESS_ARGS)


def imported(name: str, artifact_type: type, folder: Path, **properties: str) -> tfx.dsl.Importer:
    """Return a node that hands out a folder as an artifact, with the given properties of its type."""
    return tfx.dsl.Importer(
        source_uri=str(folder), artifact_type=artifact_type, reimport=True, properties=properties or None
    ).with_id(name)


def imported_examples(folder: Path) -> tfx.dsl.Importer:
    """Return a node that hands out the folder of an Examples artifact with both splits."""
    return tfx.dsl.Importer(
        source_uri=str(folder),
        artifact_type=tfx.types.standard_artifacts.Examples,
        reimport=True,
        properties={"split_names": '["train", "eval"]'},
        custom_properties={"payload_format": "FORMAT_TF_EXAMPLE", "file_format": "tfrecords_gzip"},
    ).with_id("Examples")


@tfx.dsl.components.component
def GivenStatistics(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    statistics: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    folder: tfx.dsl.components.Parameter[str],
) -> None:
    """Copy a folder of statistics to the output, which so has the lineage of statistics of the examples."""
    shutil.copytree(folder, statistics.uri, dirs_exist_ok=True)
    statistics.split_names = examples.split_names


def run_graph(nodes: list[BaseNode], folder: Path, gate: ModelGateSettings | None = None) -> RunRecord:
    """Run nodes with the local runner; a folder's metadata remembers earlier calls."""
    metadata = str(folder / "metadata.sqlite")
    folder.mkdir(parents=True, exist_ok=True)
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="small-graph",
            pipeline_root=str(folder / "artifacts"),
            components=nodes,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(metadata),
            beam_pipeline_args=_BEAM,
        )
    )
    return read_run_record(metadata, gate or ModelGateSettings())
